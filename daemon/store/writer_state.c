/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What the writer lets others know: counters, states, which numbers are durable.
 */
#include "store/writer_internal.h"

typedef struct {
    enum { NOTICE_DURABLE, NOTICE_JOURNAL, NOTICE_STATE } kind;
    PdStoreListener listener;
    void *user_data;
    uint64_t log_id;
    uint32_t contiguous;
    uint64_t head;
    PdStoreState state;
} Notice;

static gboolean
deliver_notice(gpointer data)
{
    const Notice *notice = data;
    const PdStoreListener *listener = &notice->listener;

    if (notice->kind == NOTICE_DURABLE && listener->durable != NULL) {
        listener->durable(notice->user_data, notice->log_id, notice->contiguous);
    } else if (notice->kind == NOTICE_JOURNAL && listener->journal != NULL) {
        listener->journal(notice->user_data, notice->head);
    } else if (notice->kind == NOTICE_STATE && listener->state_changed != NULL) {
        listener->state_changed(notice->user_data, notice->state);
    }
    return G_SOURCE_REMOVE;
}

static void
send_notice(PdWriter *self, const Notice *content)
{
    Notice *notice = g_memdup2(content, sizeof *content);

    notice->listener = self->config.listener;
    notice->user_data = self->config.user_data;
    pd_outbox_post(self->config.outbox, deliver_notice, notice, g_free);
}

PdStoreState
pd_writer_state_of(int code)
{
    if (code == SQLITE_FULL) {
        return PD_STORE_FULL;
    }
    if (code == SQLITE_READONLY) {
        return PD_STORE_READ_ONLY;
    }
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
        return PD_STORE_DAMAGED;
    }
    return PD_STORE_FAILING;
}

/* With the lock held. */
static void
put_health(PdWriter *self, PdStoreState state, const char *error)
{
    self->health.state = state;
    g_free(self->health.error);
    self->health.error = g_strdup(error);
}

void
pd_writer_set_state(PdWriter *self, PdStoreState state, const char *message)
{
    pd_lock_enter(&self->lock);
    const PdStoreState fine = self->moved_aside ? PD_STORE_DAMAGED : PD_STORE_OK;
    const PdStoreState new_state = state == PD_STORE_OK ? fine : state;
    const bool changed = self->health.state != new_state;
    self->health.state = new_state;
    if (changed && (state != PD_STORE_OK || !self->moved_aside)) {
        g_free(self->health.error);
        self->health.error = g_strdup(message);
    }
    pd_lock_leave(&self->lock);
    if (changed) {
        send_notice(self, &(Notice){ .kind = NOTICE_STATE, .state = new_state });
    }
}

void
pd_writer_ask_restart(PdWriter *self, const char *why)
{
    pd_lock_enter(&self->lock);
    self->must_restart = true;
    put_health(self, PD_STORE_FAILING, why);
    pd_lock_leave(&self->lock);
    send_notice(self, &(Notice){ .kind = NOTICE_STATE, .state = PD_STORE_FAILING });
}

void
pd_writer_publish(PdWriter *self)
{
    GHashTableIter iter;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, self->ledger.logs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PdLog *log = value;
        if (!log->changed) {
            continue;
        }
        log->changed = false;
        PdLog *copy = pd_log_copy(log);
        pd_lock_enter(&self->lock);
        g_hash_table_replace(self->published, &copy->log_id, copy);
        pd_lock_leave(&self->lock);
        send_notice(self,
                    &(Notice){
                        .kind = NOTICE_DURABLE,
                        .log_id = log->log_id,
                        .contiguous = pd_log_contiguous(log),
                    });
    }
}

/* Returns whether the journal grew. */
bool
pd_writer_read_health(PdWriter *self)
{
    g_autoptr(GError) error = NULL;
    int64_t n_sessions = 0;
    uint64_t head = 0;

    if (!pd_journal_head(self->ledger.db, &head, &error) ||
        !pd_db_get_int(
            self->ledger.db, 0, &n_sessions, &error, "select max(opened_seq) from session")) {
        g_warning("%s", error->message);
        return false;
    }
    pd_lock_enter(&self->lock);
    const bool grew = head != self->health.head;
    self->health.head = head;
    self->health.n_sessions = (uint64_t)n_sessions;
    self->health.n_records = self->ledger.counts.n_records;
    self->health.n_bad = self->ledger.counts.n_bad;
    self->health.n_duplicates = self->ledger.counts.n_duplicates;
    self->health.n_conflicts = self->ledger.counts.n_conflicts;
    self->health.n_erased = self->ledger.counts.n_erased;
    pd_lock_leave(&self->lock);
    return grew;
}

void
pd_writer_update_health(PdWriter *self)
{
    if (pd_writer_read_health(self)) {
        send_notice(self, &(Notice){ .kind = NOTICE_JOURNAL, .head = self->health.head });
    }
}

void
pd_writer_get_settled(PdWriter *self, uint64_t log_id, PenRanges *ranges_out)
{
    pen_ranges_init(ranges_out);
    pd_lock_enter(&self->lock);
    const PdLog *log = g_hash_table_lookup(self->published, &log_id);
    for (size_t i = 0; log != NULL && i < log->stored.n_ranges; i++) {
        pen_ranges_add(ranges_out, log->stored.ranges[i].first, log->stored.ranges[i].last);
    }
    for (size_t i = 0; log != NULL && i < log->gone.n_ranges; i++) {
        pen_ranges_add(ranges_out, log->gone.ranges[i].first, log->gone.ranges[i].last);
    }
    pd_lock_leave(&self->lock);
}

uint32_t
pd_writer_get_n_faulty(PdWriter *self, uint64_t log_id)
{
    pd_lock_enter(&self->lock);
    const PdLog *log = g_hash_table_lookup(self->published, &log_id);
    const uint32_t n_faulty = log != NULL ? log->n_faulty : 0;
    pd_lock_leave(&self->lock);
    return n_faulty;
}

char *
pd_writer_dup_log_serial(PdWriter *self, uint64_t log_id)
{
    pd_lock_enter(&self->lock);
    const PdLog *log = g_hash_table_lookup(self->published, &log_id);
    char *serial = log != NULL && log->serial[0] != '\0' ? g_strdup(log->serial) : NULL;
    pd_lock_leave(&self->lock);
    return serial;
}

void
pd_writer_set_wall_synced(PdWriter *self, bool synced)
{
    pd_lock_enter(&self->lock);
    const bool is_now = synced && !self->wall_synced;
    self->wall_synced = synced;
    pd_lock_leave(&self->lock);
    if (is_now) {
        /* What waits for a clock that is right is not to wait for a record as well. */
        pd_queue_submit(self->queue, &(PdJob){ 0 });
    }
}

void
pd_writer_get_health(PdWriter *self, PdStoreHealth *out)
{
    pd_lock_enter(&self->lock);
    *out = self->health;
    out->error = g_strdup(self->health.error);
    pd_lock_leave(&self->lock);
    pd_queue_get_counts(self->queue, &out->queue_bytes, &out->n_dropped);
    out->disk_free_bytes = pd_home_free_bytes(self->config.home);
}

bool
pd_writer_must_restart(PdWriter *self)
{
    pd_lock_enter(&self->lock);
    const bool must_restart = self->must_restart;
    pd_lock_leave(&self->lock);
    return must_restart;
}

void
pd_writer_set_damaged(PdWriter *self, const char *what)
{
    pd_lock_enter(&self->lock);
    self->moved_aside = true;
    put_health(self, PD_STORE_DAMAGED, what);
    pd_lock_leave(&self->lock);
}
