/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Every wait here is bounded: a store that does not answer fails the test in 20 s.
 */
#include "rig.h"

#include "core/wire.h"
#include "journal.pb-c.h"

#include <glib/gstdio.h>
#include <sqlite3.h>

#include <string.h>

#define LIMIT_MS 20000u

static void
on_durable(void *user_data, uint64_t log_id, uint32_t contiguous)
{
    Rig *self = user_data;

    self->contiguous = contiguous;
    self->n_durable++;
}

static void
on_journal(void *user_data, uint64_t head)
{
    Rig *self = user_data;

    g_assert_cmpuint(head, >, self->head);
    self->head = head;
}

static void
on_state(void *user_data, PdStoreState state)
{
    ((Rig *)user_data)->state = state;
}

static const PdStoreListener listener = {
    .durable = on_durable,
    .journal = on_journal,
    .state_changed = on_state,
};

void
rig_open(Rig *self)
{
    g_autoptr(GError) error = NULL;

    self->store = pd_store_open(&self->config, &listener, self, &error);
    g_assert_no_error(error);
    g_assert_nonnull(self->store);
}

GError *
rig_open_fails(Rig *self)
{
    GError *error = NULL;

    g_assert_null(pd_store_open(&self->config, &listener, self, &error));
    g_assert_nonnull(error);
    return error;
}

void
rig_close(Rig *self)
{
    pd_store_close(g_steal_pointer(&self->store));
}

Rig *
rig_new(void)
{
    Rig *self = g_new0(Rig, 1);
    g_autoptr(GError) error = NULL;

    self->directory = g_dir_make_tmp("pentel-unit-XXXXXX", &error);
    g_assert_no_error(error);
    self->config = (PdStoreConfig){
        .directory = self->directory,
        .commit_ms = 2000,
        .commit_records = 256,
        .fold = PEN_FOLD_DEFAULT,
    };
    rig_open(self);
    return self;
}

void
rig_remove_tree(const char *path)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while (directory != NULL && (name = g_dir_read_name(directory)) != NULL) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        rig_remove_tree(below);
    }
    g_assert_cmpint(g_remove(path), ==, 0);
}

void
rig_free(Rig *self)
{
    rig_close(self);
    /* What was on its way to the main context must not be missed by the leak checker. */
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    rig_remove_tree(self->directory);
    g_free(self->directory);
    g_free(self);
}

static gboolean
on_limit(gpointer data)
{
    *(bool *)data = true;
    return G_SOURCE_REMOVE;
}

bool
rig_wait(bool (*done)(gpointer data), gpointer data, uint32_t limit_ms)
{
    bool over = false;
    const guint id = g_timeout_add(limit_ms, on_limit, &over);

    while (!done(data) && !over) {
        g_main_context_iteration(NULL, TRUE);
    }
    if (!over) {
        g_source_remove(id);
    }
    return done(data);
}

static bool
has_answer(gpointer data)
{
    return *(GAsyncResult **)data != NULL;
}

static void
on_answer(GObject *source, GAsyncResult *result, gpointer user_data)
{
    *(GAsyncResult **)user_data = g_object_ref(result);
}

static void
wait_answer(GAsyncResult **result)
{
    g_assert_true(rig_wait(has_answer, result, LIMIT_MS));
}

void
rig_append(Rig *self, const Treatment *treatment, uint32_t number)
{
    size_t n_record = 0;
    const uint8_t *record = treatment_get(treatment, number, &n_record);

    g_assert_true(pd_store_append(self->store, treatment->log_id, record, n_record));
}

void
rig_append_all(Rig *self, const Treatment *treatment)
{
    for (uint32_t number = 1; number <= treatment->records->len; number++) {
        rig_append(self, treatment, number);
    }
}

bool
rig_try_flush(Rig *self, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    pd_store_flush_async(self->store, NULL, on_answer, &result);
    wait_answer(&result);
    return pd_store_flush_finish(self->store, result, error);
}

void
rig_flush(Rig *self)
{
    g_autoptr(GError) error = NULL;

    rig_try_flush(self, &error);
    g_assert_no_error(error);
}

GPtrArray *
rig_list(Rig *self, const PdSessionFilter *filter, uint64_t before, uint32_t limit)
{
    const PdSessionFilter all = { 0 };
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) error = NULL;

    pd_store_list_sessions_async(
        self->store, filter != NULL ? filter : &all, before, limit, NULL, on_answer, &result);
    wait_answer(&result);
    GPtrArray *sessions = pd_store_list_sessions_finish(self->store, result, &error);
    g_assert_no_error(error);
    return sessions;
}

PdSession *
rig_get(Rig *self, const char *id, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    pd_store_get_session_async(self->store, id, NULL, on_answer, &result);
    wait_answer(&result);
    return pd_store_get_session_finish(self->store, result, error);
}

PdSession *
rig_get_number(Rig *self, uint64_t log_id, uint32_t number)
{
    g_autoptr(GError) error = NULL;
    uint8_t uuid[16];
    char id[37];

    pen_session_uuid(log_id, number, uuid);
    pen_uuid_format(uuid, id);
    PdSession *session = rig_get(self, id, &error);
    g_assert_no_error(error);
    return session;
}

uint64_t
rig_annotate(Rig *self, const char *id, const PdAnnotation *annotation, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;
    uint64_t seq = 0;

    pd_store_annotate_async(self->store, id, annotation, NULL, on_answer, &result);
    wait_answer(&result);
    return pd_store_annotate_finish(self->store, result, &seq, error) ? seq : 0;
}

bool
rig_save_pen(Rig *self, const PdPenInfo *pen, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    pd_store_save_pen_async(self->store, pen, NULL, on_answer, &result);
    wait_answer(&result);
    return pd_store_save_pen_finish(self->store, result, error);
}

GBytes *
rig_read_raw(Rig *self, const char *id, uint32_t *after, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    pd_store_read_raw_async(self->store, id, *after, NULL, on_answer, &result);
    wait_answer(&result);
    return pd_store_read_raw_finish(self->store, result, after, error);
}

GBytes *
rig_read_journal(Rig *self, uint64_t *after, uint64_t upto, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    pd_store_read_journal_async(self->store, *after, upto, NULL, on_answer, &result);
    wait_answer(&result);
    return pd_store_read_journal_finish(self->store, result, after, error);
}

/* One length and the bytes it stands for. */
static const uint8_t *
next_message(const uint8_t **at, const uint8_t *end, size_t *n_out)
{
    size_t n = 0;

    for (unsigned shift = 0; *at < end; shift += 7) {
        const uint8_t byte = *(*at)++;
        n |= (size_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    g_assert_cmpuint(n, <=, (size_t)(end - *at));
    const uint8_t *message = *at;
    *at += n;
    *n_out = n;
    return message;
}

GByteArray *
rig_read_all_raw(Rig *self, const char *id)
{
    GByteArray *out = g_byte_array_new();
    uint32_t after = 0;

    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) page = rig_read_raw(self, id, &after, &error);
        gsize n_page = 0;
        g_assert_no_error(error);
        const uint8_t *at = g_bytes_get_data(page, &n_page);
        g_assert_cmpuint(n_page, <=, 65536);
        if (n_page == 0) {
            return out;
        }
        const uint8_t *end = at + n_page;
        while (at < end) {
            size_t n_message = 0;
            const uint8_t *message = next_message(&at, end, &n_message);
            Pentel__V1__RawRecord *raw = pentel__v1__raw_record__unpack(NULL, n_message, message);
            g_assert_nonnull(raw);
            g_byte_array_append(out, raw->record.data, (guint)raw->record.len);
            pentel__v1__raw_record__free_unpacked(raw, NULL);
        }
    }
}

static void
free_entry(gpointer data)
{
    pentel__v1__journal_entry__free_unpacked(data, NULL);
}

GPtrArray *
rig_read_all_journal(Rig *self, uint64_t upto)
{
    GPtrArray *entries = g_ptr_array_new_with_free_func(free_entry);
    uint64_t after = 0;

    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) page = rig_read_journal(self, &after, upto, &error);
        gsize n_page = 0;
        g_assert_no_error(error);
        const uint8_t *at = g_bytes_get_data(page, &n_page);
        g_assert_cmpuint(n_page, <=, 65536);
        if (n_page == 0) {
            return entries;
        }
        const uint8_t *end = at + n_page;
        while (at < end) {
            size_t n_message = 0;
            const uint8_t *message = next_message(&at, end, &n_message);
            g_ptr_array_add(entries, pentel__v1__journal_entry__unpack(NULL, n_message, message));
            g_assert_nonnull(g_ptr_array_index(entries, entries->len - 1));
        }
    }
}

PdStoreHealth
rig_health(Rig *self)
{
    PdStoreHealth health = { 0 };

    pd_store_get_health(self->store, &health);
    pd_store_health_clear(&health);
    return health;
}

char *
rig_dup_health_error(Rig *self)
{
    PdStoreHealth health = { 0 };

    pd_store_get_health(self->store, &health);
    return g_steal_pointer(&health.error);
}

char *
rig_format(const PdSession *session)
{
    static const char *const kinds[] = { "setting", "cartridge", "fault" };
    g_autoptr(GArray) passes = g_array_new(FALSE, FALSE, sizeof(PenPass));
    g_autoptr(GString) notes = g_string_new(NULL);

    for (guint i = 0; i < session->passes->len; i++) {
        const PdPass *pass = g_ptr_array_index(session->passes, i);
        g_array_append_val(passes, pass->fold);
    }
    for (guint i = 0; i < session->notes->len; i++) {
        const PdNote *note = g_ptr_array_index(session->notes, i);
        const bool is_cartridge = note->kind == PD_NOTE_CARTRIDGE;
        treatment_format_note(notes,
                              kinds[note->kind],
                              note->tick_us,
                              is_cartridge ? note->cartridge.needles : note->value,
                              is_cartridge ? note->cartridge.id : note->text);
    }
    return treatment_format(&session->fold, passes, notes);
}

char *
rig_format_state(const PdSession *session)
{
    GString *out = g_string_new(session->state);

    for (guint i = 0; i < session->missing->len; i++) {
        const PdMissing *missing = &g_array_index(session->missing, PdMissing, i);
        g_string_append_printf(
            out, " %u-%u:%s", missing->first, missing->last, pd_cause_to_string(missing->cause));
    }
    return g_string_free(out, FALSE);
}

char *
rig_path(const Rig *self, const char *name)
{
    return g_build_filename(self->directory, name, NULL);
}

void
rig_sql(const Rig *self, const char *sql)
{
    g_autofree char *path = rig_path(self, "store/index.db");
    sqlite3 *db = NULL;
    char *message = NULL;

    g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &message);
    g_assert_cmpstr(message, ==, NULL);
    g_assert_cmpint(sqlite3_close(db), ==, SQLITE_OK);
}

int64_t
rig_sql_int(const Rig *self, const char *sql)
{
    g_autofree char *path = rig_path(self, "store/index.db");
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;

    g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_step(stmt), ==, SQLITE_ROW);
    const int64_t value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    g_assert_cmpint(sqlite3_close(db), ==, SQLITE_OK);
    return value;
}

void
rig_expect_complete(Rig *self, const Treatment *treatment)
{
    for (guint i = 0; i < treatment->sessions->len; i++) {
        const uint32_t number = g_array_index(treatment->sessions, uint32_t, i);
        g_autoptr(PdSession) session = rig_get_number(self, treatment->log_id, number);
        g_autofree char *expected = treatment_dup_expected(treatment, number, NULL);
        g_autofree char *got = rig_format(session);
        g_assert_cmpstr(got, ==, expected);
        g_assert_cmpstr(session->state, ==, "complete");
    }
}
