/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what of a set is news here. Within one store of a gateway its journal's numbers
 * tell, between two its clock does; an erasure stands for ever.
 */
#include "sync/carried.h"

#include "lib/output.h"
#include "sync/error.h"
#include "sync/state_json.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void
sync_carried_free(SyncCarried *self)
{
    if (self == NULL) {
        return;
    }
    g_free(self->session);
    g_free(self->gateway);
    g_free(self->store_id);
    g_free(self->state);
    g_clear_pointer(&self->records, g_bytes_unref);
    g_clear_pointer(&self->said, g_array_unref);
    g_free(self);
}

/* Where a session stands in what a gateway told. */
typedef struct {
    const char *session;
    const char *store_id;
    uint64_t seq;
    int64_t wall_us;
} Place;

/* Whether what is known of @gateway is no earlier than @place. @gateway: "" for the journal. */
static bool
is_known(
    SyncState *state, const Place *place, const char *gateway, bool *is_known_out, GError **error)
{
    SyncDb *db = sync_state_get_db(state);
    g_autoptr(SyncRow) row =
        sync_db_query(db,
                      error,
                      "select iif(gateway = '', (select store_id from cursor), store_id), seq,"
                      " wall_us from session where session = ? and gateway = ?",
                      "tt",
                      place->session,
                      gateway);
    const int code = row != NULL ? sync_db_step(db, row, error) : -1;

    *is_known_out = false;
    if (code == 1) {
        g_autofree char *store_id = sync_row_dup_text(row, 0);
        const bool is_same_store = store_id[0] != '\0' && strcmp(store_id, place->store_id) == 0;
        *is_known_out = is_same_store ? place->seq <= (uint64_t)sync_row_get_int(row, 1)
                                      : place->wall_us <= sync_row_get_int(row, 2);
    }
    return code >= 0;
}

static bool
is_erased(SyncState *state, const char *session, bool *is_erased_out, GError **error)
{
    SyncDb *db = sync_state_get_db(state);
    int64_t n = 0;
    const bool is_good = sync_db_read_int(
        db,
        sync_db_query(db, error, "select count(*) from tombstone where session = ?", "t", session),
        &n,
        error);

    *is_erased_out = n > 0;
    return is_good;
}

static bool
is_news(SyncState *state,
        const SyncCarried *item,
        const char *own_gateway,
        bool *is_news_out,
        GError **error)
{
    const Place place = { item->session, item->store_id, item->seq, item->wall_us };
    bool is_told = false;
    bool is_heard = false;
    bool is_gone = false;

    if (!is_known(state, &place, item->gateway, &is_told, error) ||
        (strcmp(item->gateway, own_gateway) == 0 &&
         !is_known(state, &place, "", &is_heard, error)) ||
        !is_erased(state, item->session, &is_gone, error)) {
        return false;
    }
    *is_news_out = !is_gone && (item->state == NULL || (!is_told && !is_heard));
    return true;
}

static bool
put_said(SyncDb *db, const SyncCarried *item, GError **error)
{
    bool is_good = sync_db_run(db,
                               sync_db_query(db,
                                             error,
                                             "delete from said where session = ? and gateway = ?",
                                             "tt",
                                             item->session,
                                             item->gateway),
                               error);

    for (guint i = 0; is_good && i < item->said->len; i++) {
        const SyncSaid *said = &g_array_index(item->said, SyncSaid, i);
        is_good = sync_db_run(db,
                              sync_db_query(db,
                                            error,
                                            "insert or replace into said values(?, ?, ?, ?, 0, ?)",
                                            "tttii",
                                            item->session,
                                            item->gateway,
                                            said->field,
                                            said->wall_us,
                                            (int64_t)said->uid),
                              error);
    }
    return is_good;
}

static bool
put_session(SyncDb *db, const SyncCarried *item, GError **error)
{
    return sync_db_run(
        db,
        sync_db_query(db,
                      error,
                      "insert into session(session, gateway, store_id, seq, wall_us, fold_wall_us,"
                      " may_be_erased) values(?, ?, ?, ?, ?, ?, 0) on conflict do update set"
                      " store_id = excluded.store_id, seq = excluded.seq,"
                      " wall_us = excluded.wall_us, fold_wall_us = excluded.fold_wall_us",
                      "tttiii",
                      item->session,
                      item->gateway,
                      item->store_id,
                      (int64_t)item->seq,
                      item->wall_us,
                      item->fold_wall_us),
        error);
}

static bool
put_pending(SyncDb *db, const SyncCarried *item, int64_t now_us, GError **error)
{
    return sync_db_run(
               db,
               sync_db_query(db,
                             error,
                             "insert into pending(session, gateway, since_us, wait, next_us,"
                             " attempts) values(?1, ?2, ?3, 0, ?3, 0) on conflict do update set"
                             " wait = 0, attempts = 0, reason = null,"
                             " next_us = min(ifnull(next_us, ?3), ?3)",
                             "tti",
                             item->session,
                             item->gateway,
                             now_us),
               error) &&
           sync_db_run(db,
                       sync_db_query(db,
                                     error,
                                     "insert or replace into carried values(?, ?, ?, ?)",
                                     "tttb",
                                     item->session,
                                     item->gateway,
                                     item->state,
                                     item->records),
                       error);
}

static bool
put(SyncState *state, const SyncCarried *item, int64_t now_us, GError **error)
{
    SyncDb *db = sync_state_get_db(state);

    return (item->state != NULL || sync_state_bury(state, item->session, error)) &&
           put_session(db, item, error) && put_said(db, item, error) &&
           put_pending(db, item, now_us, error);
}

bool
sync_carried_take(SyncState *state,
                  const GPtrArray *items,
                  const char *own_gateway,
                  int64_t now_us,
                  guint *n_new_out,
                  GError **error)
{
    SyncDb *db = sync_state_get_db(state);
    bool is_good = sync_db_script(db, "begin immediate", error);

    *n_new_out = 0;
    if (!is_good) {
        return false;
    }
    for (guint i = 0; is_good && i < items->len; i++) {
        bool has_news = false;
        is_good = is_news(state, items->pdata[i], own_gateway, &has_news, error) &&
                  (!has_news || put(state, items->pdata[i], now_us, error));
        *n_new_out += has_news ? 1 : 0;
    }
    return sync_db_end(db, is_good, error);
}

static bool
fill_records(SyncFetched *fetched, GBytes *records, GError **error)
{
    gsize n_bytes = 0;
    const void *bytes = g_bytes_get_data(records, &n_bytes);

    fetched->raw_fd = memfd_create("records", MFD_CLOEXEC);
    const int number =
        fetched->raw_fd < 0 ? errno : cli_output_write(fetched->raw_fd, bytes, n_bytes);
    if (number != 0 || lseek(fetched->raw_fd, 0, SEEK_SET) != 0) {
        g_set_error(
            error, SYNC_ERROR, SYNC_ERROR_STATE, "no memory for records: %s", g_strerror(number));
        return false;
    }
    fetched->n_raw_bytes = n_bytes;
    return true;
}

/* It was checked before it was put there, but may have been damaged since; only a tombstone
 * makes an erasure. */
static bool
fill_state(SyncState *state, SyncFetched *fetched, const char *text, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (text == NULL && !is_erased(state, fetched->session, &fetched->is_erased, error)) {
        return false;
    }
    if (fetched->is_erased) {
        return true;
    }
    fetched->state = text != NULL ? sync_state_of_json(text, &failure) : NULL;
    if (fetched->state == NULL) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "%s; bring the set again that it came with",
                    failure != NULL ? failure->message : "what was carried of it is gone");
        return false;
    }
    fetched->n_settled = sync_count_settled(fetched->state);
    return true;
}

SyncFetched *
sync_carried_fetch(SyncState *state,
                   const SyncPending *pending,
                   const char *own_gateway,
                   bool wants_raw,
                   GError **error)
{
    const Place place = { pending->session, pending->store_id, pending->seq, pending->wall_us };
    SyncDb *db = sync_state_get_db(state);
    g_autoptr(SyncFetched) fetched = g_new0(SyncFetched, 1);

    fetched->raw_fd = -1;
    fetched->session = g_strdup(pending->session);
    g_autoptr(SyncRow) row = sync_db_query(db,
                                           error,
                                           "select state, records from carried"
                                           " where session = ? and gateway = ?",
                                           "tt",
                                           pending->session,
                                           pending->gateway);
    const int code = row != NULL ? sync_db_step(db, row, error) : -1;
    if (code < 0) {
        return NULL;
    }
    g_autofree char *text = code == 1 ? sync_row_dup_text(row, 0) : NULL;
    g_autoptr(GBytes) records = wants_raw && code == 1 ? sync_row_dup_bytes(row, 1) : NULL;
    if (text != NULL && strcmp(pending->gateway, own_gateway) == 0 &&
        !is_known(state, &place, "", &fetched->is_superseded, error)) {
        return NULL;
    }
    return fill_state(state, fetched, text, error) &&
                   (records == NULL || fill_records(fetched, records, error))
               ? g_steal_pointer(&fetched)
               : NULL;
}

bool
sync_carried_find_set(SyncState *state, const char *sums, SyncCarriedPart *out, GError **error)
{
    SyncDb *db = sync_state_get_db(state);
    g_autoptr(SyncRow) row =
        sync_db_query(db, error, "select n_refused from carried_set where sums = ?", "t", sums);
    const int code = row != NULL ? sync_db_step(db, row, error) : -1;

    *out = SYNC_CARRIED_NONE;
    if (code == 1) {
        *out = sync_row_get_int(row, 0) > 0 ? SYNC_CARRIED_PART : SYNC_CARRIED_ALL;
    }
    return code >= 0;
}

bool
sync_carried_add_set(
    SyncState *state, const char *sums, const char *name, uint64_t n_refused, GError **error)
{
    SyncDb *db = sync_state_get_db(state);

    return sync_db_run(db,
                       sync_db_query(db,
                                     error,
                                     "insert or replace into carried_set values(?, ?, ?)",
                                     "tti",
                                     sums,
                                     name,
                                     (int64_t)n_refused),
                       error);
}
