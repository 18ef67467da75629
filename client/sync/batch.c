/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * One trip to the sink: the sessions' states are asked for one after another, go over in a
 * worker thread, and only then are the outcomes made durable here. Whatever is cut off in
 * between is done again, which every sink must bear.
 */
#include "sync/batch.h"

#include "lib/dict.h"
#include "lib/fault.h"
#include "sync/backoff.h"
#include "sync/source.h"

/* What the bus itself says: not about a session. */
#define BUS_ERRORS "org.freedesktop."

typedef struct {
    const SyncPending *pending; /* borrowed from the batch's list */
    SyncFetched *fetched;       /* owned */
    GArray *said;               /* owned */
    SyncDelivery delivery;
    SyncOutcome outcome; /* owned */
    bool is_to_deliver;
    bool is_unfetched; /* penteld answers, but not with this one */
} Item;

typedef struct {
    const SyncWork *work; /* borrowed; outlives the batch by contract */
    GPtrArray *due;       /* owned; SyncPending */
    Item *items;          /* owned; due->len of them */
    SyncSource source;
    guint n_fetched;
    SyncBatchReport report;
    GError *open_error;  /* owned; from the worker */
    GError *fetch_error; /* owned; of the first that penteld did not hand out */
} Batch;

static void
batch_free(gpointer data)
{
    Batch *self = data;

    for (guint i = 0; i < self->due->len; i++) {
        Item *item = &self->items[i];
        sync_fetched_free(item->fetched);
        g_clear_pointer(&item->said, g_array_unref);
        sync_outcome_clear(&item->outcome);
    }
    g_free(self->items);
    g_ptr_array_unref(self->due);
    g_clear_error(&self->open_error);
    g_clear_error(&self->fetch_error);
    g_free(self);
}

static void
fail(GTask *task, SyncTrouble trouble, GError *error)
{
    Batch *self = g_task_get_task_data(task);

    self->report.trouble = trouble;
    g_task_return_error(task, error);
}

static SyncWait
wait_of(SyncOutcomeKind kind)
{
    switch (kind) {
    case SYNC_DELIVERED:
        return SYNC_WAIT_QUEUED;
    case SYNC_RETRY:
        return SYNC_WAIT_BACKOFF;
    case SYNC_SET_ASIDE:
        return SYNC_WAIT_SET_ASIDE;
    case SYNC_UNBOUND:
        return SYNC_WAIT_UNBOUND;
    }
    return SYNC_WAIT_BACKOFF;
}

/* What was delivered is not said to wait because a second look at it failed. */
static SyncWait
wait_after(const Item *item)
{
    return item->pending->wait == SYNC_WAIT_SECOND && item->outcome.kind == SYNC_RETRY
               ? SYNC_WAIT_SECOND
               : wait_of(item->outcome.kind);
}

static SyncResult
result_of(const Item *item, int64_t now_us)
{
    SyncResult result = { .pending = item->pending,
                          .is_delivered = item->outcome.kind == SYNC_DELIVERED,
                          .is_erased = item->delivery.is_erased,
                          .wait = wait_after(item),
                          .reason = item->outcome.reason,
                          .note = item->outcome.note };

    if (item->outcome.kind == SYNC_RETRY) {
        const uint32_t wait_ms = sync_backoff_ms(item->pending->attempts + 1,
                                                 SYNC_SESSION_BACKOFF_FIRST_MS,
                                                 SYNC_SESSION_BACKOFF_MAX_MS,
                                                 item->outcome.after_ms,
                                                 g_random_int());
        result.next_us = now_us + (int64_t)wait_ms * 1000;
    }
    if (result.is_delivered && item->outcome.after_ms > 0) {
        result.next_us = now_us + (int64_t)item->outcome.after_ms * 1000;
    }
    return result;
}

static void
report_item(Batch *self, const Item *item)
{
    switch (item->outcome.kind) {
    case SYNC_DELIVERED:
        self->report.n_delivered++;
        return;
    case SYNC_RETRY:
        self->report.trouble = SYNC_TROUBLE_SINK;
        self->report.after_ms = MAX(self->report.after_ms, item->outcome.after_ms);
        return;
    case SYNC_SET_ASIDE:
        g_warning("session %s set aside: %s", item->pending->session, item->outcome.reason);
        return;
    case SYNC_UNBOUND:
        return;
    }
}

static guint
count_unfetched(const Batch *self)
{
    guint n = 0;

    for (guint i = 0; i < self->due->len; i++) {
        n += self->items[i].is_unfetched ? 1 : 0;
    }
    return n;
}

/* One line when the words change, as an item may fail for days. */
static void
report_unfetched(const Item *item)
{
    if (g_strcmp0(item->pending->reason, item->outcome.reason) != 0) {
        g_warning("session %s: %s", item->pending->session, item->outcome.reason);
    }
}

/* Some sessions that penteld cannot hand out are their own trouble; nothing but such is its. */
static void
report_items(Batch *self)
{
    const guint n_unfetched = count_unfetched(self);
    const bool is_penteld = n_unfetched == self->due->len && n_unfetched > 1;

    for (guint i = 0; i < self->due->len; i++) {
        const Item *item = &self->items[i];
        if (!item->is_unfetched) {
            report_item(self, item);
        } else if (!is_penteld) {
            report_unfetched(item);
        }
    }
    if (is_penteld) {
        self->report.trouble = SYNC_TROUBLE_PENTELD;
    }
}

static const char *
find_retry_reason(const Batch *self)
{
    for (guint i = 0; i < self->due->len; i++) {
        if (self->items[i].outcome.kind == SYNC_RETRY && !self->items[i].is_unfetched) {
            return self->items[i].outcome.reason;
        }
    }
    return NULL;
}

static void
remember(GTask *task)
{
    Batch *self = g_task_get_task_data(task);
    g_autofree SyncResult *results = g_new0(SyncResult, self->due->len);
    const int64_t now_us = g_get_real_time();
    GError *error = NULL;

    for (guint i = 0; i < self->due->len; i++) {
        results[i] = result_of(&self->items[i], now_us);
    }
    report_items(self);
    if (!sync_state_store(self->work->state, results, self->due->len, now_us, &error)) {
        fail(task, SYNC_TROUBLE_STATE, error);
        return;
    }
    self->report.n_tried = self->due->len;
    if (self->report.trouble == SYNC_TROUBLE_PENTELD) {
        g_task_return_error(task, g_steal_pointer(&self->fetch_error));
        return;
    }
    if (self->report.trouble != SYNC_TROUBLE_NONE) {
        const char *reason = find_retry_reason(self);
        g_task_return_new_error(task,
                                SYNC_ERROR,
                                SYNC_ERROR_UNAVAILABLE,
                                "%s",
                                reason != NULL ? reason : "the sink gave no reason");
        return;
    }
    g_task_return_boolean(task, TRUE);
}

/* What is to be handed to the sink; its number. */
static guint
collect_deliveries(const Batch *self, const SyncDelivery **deliveries)
{
    guint n = 0;

    for (guint i = 0; i < self->due->len; i++) {
        if (self->items[i].is_to_deliver) {
            deliveries[n++] = &self->items[i].delivery;
        }
    }
    return n;
}

static void
keep_outcomes(Batch *self, const SyncOutcome *outcomes)
{
    guint n = 0;

    for (guint i = 0; i < self->due->len; i++) {
        if (self->items[i].is_to_deliver) {
            self->items[i].outcome = outcomes[n++];
        }
    }
}

static void
work_in_thread(GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
    Batch *self = task_data;
    const SyncWork *work = self->work;
    g_autofree const SyncDelivery **deliveries = g_new0(const SyncDelivery *, self->due->len);
    g_autofree SyncOutcome *outcomes = g_new0(SyncOutcome, self->due->len);

    if (work->funcs->open(work->sink, cancellable, &self->open_error)) {
        const guint n = collect_deliveries(self, deliveries);
        work->funcs->deliver(work->sink, deliveries, n, outcomes, cancellable);
        keep_outcomes(self, outcomes);
    }
    g_task_return_boolean(task, TRUE);
}

static void
on_worked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    Batch *self = g_task_get_task_data(task);

    g_task_propagate_boolean(G_TASK(result), NULL);
    if (self->open_error != NULL) {
        fail(task, SYNC_TROUBLE_OPEN, g_steal_pointer(&self->open_error));
        return;
    }
    remember(task);
}

static void
go_over(GTask *task)
{
    Batch *self = g_task_get_task_data(task);
    bool has_any = false;

    for (guint i = 0; i < self->due->len; i++) {
        has_any = has_any || self->items[i].is_to_deliver;
    }
    if (!has_any) {
        remember(task);
        g_object_unref(task);
        return;
    }
    g_autoptr(GTask) worker = g_task_new(NULL, g_task_get_cancellable(task), on_worked, task);
    g_task_set_source_tag(worker, go_over);
    g_task_set_check_cancellable(worker, FALSE);
    g_task_set_task_data(worker, self, NULL);
    g_task_run_in_thread(worker, work_in_thread);
}

static void
set_unbound(Item *item)
{
    const SyncPending *pending = item->pending;

    if (pending->gateway[0] == '\0') {
        sync_outcome_set(&item->outcome,
                         SYNC_UNBOUND,
                         "no patient reference; give it: pentelctl annotate %.8s --patient REF",
                         pending->session);
        return;
    }
    sync_outcome_set(&item->outcome,
                     SYNC_UNBOUND,
                     "no patient reference; give it on gateway %.64s, then bring a later set of it",
                     pending->gateway);
}

/* What can be decided without the sink. */
static void
judge(const Batch *self, Item *item)
{
    GVariant *state = item->delivery.state;

    item->is_to_deliver = false;
    if (item->fetched->is_superseded) {
        sync_outcome_set(&item->outcome, SYNC_DELIVERED, "%s", "");
    } else if (state == NULL && !item->delivery.is_erased) {
        sync_outcome_set(&item->outcome,
                         SYNC_SET_ASIDE,
                         "penteld does not know this session any more; see: pentelctl doctor");
    } else if (state != NULL && !self->work->setup->sends_unbound &&
               cli_dict_get_text(state, "patient") == NULL && item->pending->note == NULL) {
        set_unbound(item);
    } else {
        item->is_to_deliver = true;
    }
}

static void
fill_delivery(const Batch *self, Item *item)
{
    const SyncPending *pending = item->pending;
    GVariant *state = item->fetched->state;
    const bool is_carried = pending->gateway[0] != '\0';
    const bool is_erased = item->fetched->is_erased || (state == NULL && pending->may_be_erased);

    item->delivery =
        (SyncDelivery){ .session = pending->session,
                        .gateway = is_carried ? pending->gateway : self->work->setup->gateway,
                        .is_carried = is_carried,
                        .store_id = item->pending->store_id,
                        .state = state,
                        .is_erased = is_erased,
                        .seq = pending->seq,
                        .wall_us = pending->wall_us,
                        .fold_wall_us = pending->fold_wall_us,
                        .n_settled = item->fetched->n_settled,
                        .said = item->said,
                        .note = pending->note,
                        .raw_fd = item->fetched->raw_fd,
                        .n_raw_bytes = item->fetched->n_raw_bytes };
}

/* Whether nothing can be had of penteld now, whichever session is asked for. */
static bool
is_penteld_gone(const GError *error)
{
    if (error->domain == SYNC_ERROR) {
        return false;
    }
    const CliFault *fault = cli_fault_of(error);
    return fault->exit_code == CTL_EXIT_NO_DAEMON || fault->exit_code == CTL_EXIT_NO_PERMISSION ||
           fault->exit_code == CTL_EXIT_TIMEOUT || g_str_has_prefix(fault->name, BUS_ERRORS);
}

/* Takes over @error. */
static void
put_off(Batch *self, Item *item, GError *error)
{
    CtlExit unused = CTL_EXIT_OK;
    g_autofree char *words = error->domain == SYNC_ERROR
                                 ? g_strdup(error->message)
                                 : cli_fault_describe("ask penteld", error, &unused);

    sync_outcome_set(&item->outcome, SYNC_RETRY, "%s", words);
    item->is_unfetched = true;
    if (self->fetch_error == NULL) {
        self->fetch_error = error;
    } else {
        g_error_free(error);
    }
}

static void fetch_next(GTask *task);

static void
on_fetched(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    Batch *self = g_task_get_task_data(task);
    Item *item = &self->items[self->n_fetched];
    GError *error = NULL;

    item->fetched = sync_source_fetch_finish(result, &error);
    if (g_error_matches(error, SYNC_ERROR, SYNC_ERROR_STATE)) {
        fail(task, SYNC_TROUBLE_STATE, error);
        return;
    }
    if (item->fetched == NULL && is_penteld_gone(error)) {
        fail(task, SYNC_TROUBLE_PENTELD, error);
        return;
    }
    if (item->fetched == NULL) {
        put_off(self, item, error);
        self->n_fetched++;
        fetch_next(g_steal_pointer(&task));
        return;
    }
    item->said = sync_state_list_said(self->work->state, item->pending, &error);
    if (item->said == NULL) {
        fail(task, SYNC_TROUBLE_STATE, error);
        return;
    }
    fill_delivery(self, item);
    judge(self, item);
    self->n_fetched++;
    fetch_next(g_steal_pointer(&task));
}

/* Takes over @task. */
static void
fetch_next(GTask *task)
{
    const Batch *self = g_task_get_task_data(task);

    if (self->n_fetched == self->due->len) {
        go_over(task);
        return;
    }
    sync_source_fetch_async(&self->source,
                            self->items[self->n_fetched].pending,
                            g_task_get_cancellable(task),
                            on_fetched,
                            task);
}

void
sync_batch_run_async(const SyncWork *work,
                     GPtrArray *due,
                     GCancellable *cancellable,
                     GAsyncReadyCallback callback,
                     gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    Batch *self = g_new0(Batch, 1);

    g_task_set_source_tag(task, sync_batch_run_async);
    g_task_set_check_cancellable(task, FALSE);
    *self = (Batch){ .work = work, .due = due, .items = g_new0(Item, due->len) };
    self->source = (SyncSource){ .bus = work->bus,
                                 .state = work->state,
                                 .own_gateway = work->setup->gateway,
                                 .wants_raw = work->wants_raw };
    for (guint i = 0; i < due->len; i++) {
        self->items[i].pending = due->pdata[i];
    }
    g_task_set_task_data(task, self, batch_free);
    fetch_next(task);
}

bool
sync_batch_run_finish(GAsyncResult *result, SyncBatchReport *report_out, GError **error)
{
    const Batch *self = g_task_get_task_data(G_TASK(result));

    *report_out = self->report;
    return g_task_propagate_boolean(G_TASK(result), error);
}
