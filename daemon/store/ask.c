/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The questions of the public face: each is copied, answered by a worker and finished in the
 * caller's context.
 */
#include "store/query.h"
#include "store/store_internal.h"

static bool
is_linked(void *user_data, uint64_t log_id)
{
    PdStore *self = user_data;

    pd_lock_enter(&self->lock);
    const bool linked = g_hash_table_contains(self->linked, &log_id);
    pd_lock_leave(&self->lock);
    return linked;
}

static GTask *
new_task(GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data, gpointer tag)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);

    g_task_set_source_tag(task, tag);
    return task;
}

/* One question, with copies of what was asked; the task's data. */
typedef struct {
    PdStore *store; /* borrowed; it waits for its workers */
    char *id;
    char *serial;
    char *state;
    char *text;
    int64_t since_us;
    int64_t until_us;
    uint64_t after;
    uint64_t before;
    uint32_t limit;
    uint64_t log_id;
    /* Answered beside the result. */
    uint64_t last;
    uint32_t tick_unit;
} Question;

static void
free_question(gpointer data)
{
    Question *question = data;

    g_free(question->id);
    g_free(question->serial);
    g_free(question->state);
    g_free(question->text);
    g_free(question);
}

static PdQuery
make_query(const Question *question, PdDb *db)
{
    return (PdQuery){
        .db = db,
        .raw_directory = question->store->home.raw,
        .is_linked = is_linked,
        .user_data = question->store,
    };
}

static void
ask(PdStore *self,
    const Question *question,
    GTask *task,
    gpointer (*run)(gpointer data, PdDb *db, GError **error),
    GDestroyNotify free_result)
{
    Question *copy = g_memdup2(question, sizeof *question);

    copy->store = self;
    g_task_set_task_data(task, copy, free_question);
    pd_workers_push(
        self->workers,
        &(PdWork){ .run = run, .data = copy, .free_result = free_result, .task = task });
}

static void
unref_array(gpointer data)
{
    g_ptr_array_unref(data);
}

static gpointer
run_list(gpointer data, PdDb *db, GError **error)
{
    const Question *question = data;
    PdQuery query = make_query(question, db);
    const PdSessionFilter filter = {
        .serial = question->serial,
        .since_us = question->since_us,
        .until_us = question->until_us,
        .state = question->state,
        .text = question->text,
    };

    return pd_query_list_sessions(&query, &filter, question->before, question->limit, error);
}

void
pd_store_list_sessions_async(PdStore *self,
                             const PdSessionFilter *filter,
                             uint64_t before_seq,
                             uint32_t limit,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
    const Question question = {
        .serial = g_strdup(filter->serial),
        .state = g_strdup(filter->state),
        .text = g_strdup(filter->text),
        .since_us = filter->since_us,
        .until_us = filter->until_us,
        .before = before_seq,
        .limit = limit,
    };

    ask(self,
        &question,
        new_task(cancellable, callback, user_data, pd_store_list_sessions_async),
        run_list,
        unref_array);
}

GPtrArray *
pd_store_list_sessions_finish(PdStore *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

static gpointer
run_get(gpointer data, PdDb *db, GError **error)
{
    const Question *question = data;
    PdQuery query = make_query(question, db);

    return pd_query_get_session(&query, question->id, error);
}

static void
free_session(gpointer data)
{
    pd_session_free(data);
}

void
pd_store_get_session_async(PdStore *self,
                           const char *id,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data)
{
    ask(self,
        &(Question){ .id = g_strdup(id) },
        new_task(cancellable, callback, user_data, pd_store_get_session_async),
        run_get,
        free_session);
}

PdSession *
pd_store_get_session_finish(PdStore *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

static void
unref_bytes(gpointer data)
{
    g_bytes_unref(data);
}

static gpointer
run_raw(gpointer data, PdDb *db, GError **error)
{
    Question *question = data;
    PdQuery query = make_query(question, db);
    uint32_t last = 0;
    GBytes *bytes =
        pd_query_read_raw(&query, question->id, (uint32_t)question->after, &last, error);

    question->last = last;
    return bytes;
}

void
pd_store_read_raw_async(PdStore *self,
                        const char *id,
                        uint32_t after,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
    ask(self,
        &(Question){ .id = g_strdup(id), .after = after },
        new_task(cancellable, callback, user_data, pd_store_read_raw_async),
        run_raw,
        unref_bytes);
}

GBytes *
pd_store_read_raw_finish(PdStore *self, GAsyncResult *result, uint32_t *last_out, GError **error)
{
    const Question *question = g_task_get_task_data(G_TASK(result));
    GBytes *bytes = g_task_propagate_pointer(G_TASK(result), error);

    if (bytes != NULL) {
        *last_out = (uint32_t)question->last;
    }
    return bytes;
}

static void
unref_anchors(gpointer data)
{
    g_array_unref(data);
}

static gpointer
run_anchors(gpointer data, PdDb *db, GError **error)
{
    Question *question = data;
    PdQuery query = make_query(question, db);

    return pd_query_get_anchors(&query, question->log_id, &question->tick_unit, error);
}

void
pd_store_get_anchors_async(PdStore *self,
                           uint64_t log_id,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data)
{
    ask(self,
        &(Question){ .log_id = log_id },
        new_task(cancellable, callback, user_data, pd_store_get_anchors_async),
        run_anchors,
        unref_anchors);
}

GArray *
pd_store_get_anchors_finish(PdStore *self,
                            GAsyncResult *result,
                            uint32_t *tick_unit_out,
                            GError **error)
{
    const Question *question = g_task_get_task_data(G_TASK(result));
    GArray *anchors = g_task_propagate_pointer(G_TASK(result), error);

    if (anchors != NULL) {
        *tick_unit_out = question->tick_unit;
    }
    return anchors;
}

static gpointer
run_journal(gpointer data, PdDb *db, GError **error)
{
    Question *question = data;
    PdQuery query = make_query(question, db);

    return pd_query_read_journal(&query, question->after, question->before, &question->last, error);
}

void
pd_store_read_journal_async(PdStore *self,
                            uint64_t after,
                            uint64_t upto,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data)
{
    ask(self,
        &(Question){ .after = after, .before = upto },
        new_task(cancellable, callback, user_data, pd_store_read_journal_async),
        run_journal,
        unref_bytes);
}

GBytes *
pd_store_read_journal_finish(PdStore *self,
                             GAsyncResult *result,
                             uint64_t *last_out,
                             GError **error)
{
    const Question *question = g_task_get_task_data(G_TASK(result));
    GBytes *bytes = g_task_propagate_pointer(G_TASK(result), error);

    if (bytes != NULL) {
        *last_out = question->last;
    }
    return bytes;
}
