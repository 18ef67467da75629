/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Takes a set over, some deliveries at a time so that the rest of the program goes on.
 * Decides whom to blame when two sets do not fit: one that is sound in itself is not refused
 * because the one before it is not, or is not there.
 */
#include "sync/intake.h"

#include "lib/delimited.h"
#include "sync/carried_message.h"
#include "sync/error.h"

#include <string.h>
#include <unistd.h>

#define N_BATCH_MAX     64u
#define N_BATCH_BYTES   ((uint64_t)8 << 20)
#define N_REFUSED_SHOWN 20u
#define HEADER_MAX      5u

typedef struct {
    const SyncIntaker *intaker; /* borrowed; outlives the call by contract */
    CliSet *files;              /* owned; closed once they are read */
    SyncSet *set;               /* owned; NULL until it is checked */
    SyncIntake *intake;         /* owned until returned */
    uint64_t at;                /* in deliveries.pb */
} Intake;

void
sync_intake_free(SyncIntake *self)
{
    if (self == NULL) {
        return;
    }
    g_free(self->set);
    g_free(self->refusal);
    g_free(self->missing);
    g_ptr_array_unref(self->refused);
    g_free(self);
}

static void
intake_free(gpointer data)
{
    Intake *self = data;

    cli_set_free(self->files);
    sync_set_free(self->set);
    sync_intake_free(self->intake);
    g_free(self);
}

static void
free_intake(gpointer data)
{
    sync_intake_free(data);
}

static void
free_carried(gpointer data)
{
    sync_carried_free(data);
}

/* Takes over @task. */
static void
end(GTask *task)
{
    Intake *self = g_task_get_task_data(task);

    g_task_return_pointer(task, g_steal_pointer(&self->intake), free_intake);
    g_object_unref(task);
}

/* Takes over @task and @error. */
static void
fail(GTask *task, GError *error)
{
    g_task_return_error(task, error);
    g_object_unref(task);
}

static void
note_refused(Intake *self, const GError *error)
{
    self->intake->n_refused++;
    if (self->intake->refused->len < N_REFUSED_SHOWN) {
        g_ptr_array_add(self->intake->refused,
                        g_strdup_printf("%s: %s", self->set->name, error->message));
    }
}

/* The next message, which count_deliveries() has seen to be there. Owns: the caller's. */
static uint8_t *
read_next(Intake *self, gsize *n_bytes_out)
{
    uint8_t header[HEADER_MAX];
    size_t n_header = 0;
    uint64_t length = 0;
    const int fd = self->set->deliveries_fd;
    const ssize_t n = pread(fd, header, sizeof header, (off_t)self->at);

    if (n <= 0 ||
        cli_delimited_read_length(header, (size_t)n, &n_header, &length) != CLI_DELIMITED_MESSAGE) {
        return NULL;
    }
    g_autofree uint8_t *bytes = g_malloc(length + 1);
    self->at += n_header;
    if (pread(fd, bytes, length, (off_t)self->at) != (ssize_t)length) {
        return NULL;
    }
    self->at += length;
    *n_bytes_out = (gsize)length;
    return g_steal_pointer(&bytes);
}

static SyncCarried *
decode(const Intake *self, const uint8_t *bytes, gsize n_bytes, GError **error)
{
    g_autoptr(SyncCarried) item = sync_carried_decode(self->set, bytes, n_bytes, error);

    return item != NULL && sync_carried_read_records(item, self->set, error)
               ? g_steal_pointer(&item)
               : NULL;
}

static bool
read_some(Intake *self, GPtrArray *items, GError **error)
{
    uint64_t n_bytes_read = 0;

    while (self->at < self->set->n_bytes && items->len < N_BATCH_MAX &&
           n_bytes_read < N_BATCH_BYTES) {
        g_autoptr(GError) failure = NULL;
        gsize n_bytes = 0;
        g_autofree uint8_t *bytes = read_next(self, &n_bytes);
        if (bytes == NULL) {
            g_set_error(error,
                        SYNC_ERROR,
                        SYNC_ERROR_STATE,
                        "the copy of %s cannot be read; see that the disk is sound",
                        self->set->name);
            return false;
        }
        SyncCarried *item = decode(self, bytes, n_bytes, &failure);
        if (item == NULL) {
            note_refused(self, failure);
            continue;
        }
        n_bytes_read += n_bytes + item->n_records_bytes;
        g_ptr_array_add(items, item);
    }
    return true;
}

/* True while there is more. */
static gboolean
on_idle(gpointer user_data)
{
    GTask *task = user_data;
    Intake *self = g_task_get_task_data(task);
    const SyncIntaker *intaker = self->intaker;
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(free_carried);
    GError *error = NULL;
    guint n_new = 0;

    if (g_task_return_error_if_cancelled(task)) {
        g_object_unref(task);
        return G_SOURCE_REMOVE;
    }
    if (!read_some(self, items, &error) ||
        !sync_carried_take(
            intaker->state, items, intaker->own_gateway, g_get_real_time(), &n_new, &error)) {
        fail(task, error);
        return G_SOURCE_REMOVE;
    }
    self->intake->n_new += n_new;
    if (self->at < self->set->n_bytes) {
        return G_SOURCE_CONTINUE;
    }
    if (!sync_carried_add_set(
            intaker->state, self->set->sums, self->set->name, self->intake->n_refused, &error)) {
        fail(task, error);
        return G_SOURCE_REMOVE;
    }
    end(task);
    return G_SOURCE_REMOVE;
}

/* The one before is sound in itself and yet not the one that this one was sealed after. */
static void
refuse_foreign(Intake *self)
{
    self->intake->refusal =
        g_strdup_printf("%s/anchor.json does not follow %s, one of them is of another directory or "
                        "was changed; bring each directory by itself",
                        self->set->name,
                        self->set->before);
}

static bool
check_chain(Intake *self, GError **error)
{
    SyncState *state = self->intaker->state;
    const SyncSet *set = self->set;
    SyncCarriedPart part = SYNC_CARRIED_NONE;
    SyncCarriedPart before = SYNC_CARRIED_NONE;
    SyncCarriedPart found = SYNC_CARRIED_NONE;

    if (!sync_carried_find_set(state, set->sums, &part, error) ||
        !sync_carried_find_set(state, set->before_sums, &before, error) ||
        (set->found_sums != NULL &&
         !sync_carried_find_set(state, set->found_sums, &found, error))) {
        return false;
    }
    self->intake->is_known = part == SYNC_CARRIED_ALL;
    if (set->before[0] == '\0' || before != SYNC_CARRIED_NONE) {
        return true;
    }
    if (found != SYNC_CARRIED_NONE) {
        refuse_foreign(self);
    } else {
        self->intake->missing = g_strdup(set->before);
    }
    return true;
}

static void
on_checked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    GTask *task = user_data;
    Intake *self = g_task_get_task_data(task);
    GError *error = NULL;

    self->set = g_task_propagate_pointer(G_TASK(result), &error);
    g_clear_pointer(&self->files, cli_set_free);
    if (g_error_matches(error, SYNC_ERROR, SYNC_ERROR_DATA)) {
        self->intake->refusal = g_strdup(error->message);
        g_error_free(error);
        end(task);
        return;
    }
    if (self->set == NULL || !check_chain(self, &error)) {
        fail(task, error);
        return;
    }
    self->intake->n_deliveries = self->set->n_deliveries;
    if (self->intake->refusal != NULL || self->intake->is_known) {
        end(task);
        return;
    }
    g_idle_add(on_idle, task);
}

static void
free_set(gpointer data)
{
    sync_set_free(data);
}

static void
check_in_thread(GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
    const Intake *self = task_data;
    const SyncIntaker *intaker = self->intaker;
    GError *error = NULL;
    SyncSet *set = sync_set_check(self->files,
                                  sync_state_get_directory(intaker->state),
                                  intaker->wants_raw,
                                  cancellable,
                                  &error);

    if (set == NULL) {
        g_task_return_error(task, error);
    } else {
        g_task_return_pointer(task, set, free_set);
    }
}

void
sync_intake_async(const SyncIntaker *self,
                  CliSet *set,
                  GCancellable *cancellable,
                  GAsyncReadyCallback callback,
                  gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    Intake *intake = g_new0(Intake, 1);

    g_task_set_source_tag(task, sync_intake_async);
    intake->intaker = self;
    intake->files = set;
    intake->intake = g_new0(SyncIntake, 1);
    intake->intake->set = g_strdup(set->name);
    intake->intake->refused = g_ptr_array_new_with_free_func(g_free);
    g_task_set_task_data(task, intake, intake_free);
    g_autoptr(GTask) worker = g_task_new(NULL, cancellable, on_checked, task);
    g_task_set_source_tag(worker, check_in_thread);
    g_task_set_task_data(worker, intake, NULL);
    g_task_run_in_thread(worker, check_in_thread);
}

SyncIntake *
sync_intake_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
