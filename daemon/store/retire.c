/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The hourly look at what has become too old. It goes through the sessions a few thousand at
 * a time, so that nobody waits for it: there is no index by age.
 */
#include "store/erase.h"
#include "util/error.h"

#define DAY_US    INT64_C(86400000000)
#define LOOK_US   INT64_C(3600000000)
#define PAUSE_US  INT64_C(20000)
#define LOOK_ROWS 4096 /* less than 1 ms */
#define AT_ONCE   16
#define TOGETHER  256 /* of the same segments; about 1 ms each */
#define FAIL_MAX  16  /* in a row before the disk is left alone until the next round */
#define TOO_OLD                                                                                    \
    "end_wall_us + time_error_us < ? and state in ('complete', 'lossy', 'closed-by')"              \
    " and hold is null"

typedef struct {
    PdLedger *ledger; /* borrowed */
    uint32_t days;
    int64_t before_us; /* wall */
    GArray *sessions;  /* owned; int64_t opened_seq */
    PdRetirement *at;  /* borrowed */
    bool has_failed;
} Retire;

static bool
take_rows(Retire *self, PdStmt *stmt, GError **error)
{
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(self->ledger->db, stmt, error)) > 0) {
        const int64_t opened_seq = sqlite3_column_int64(stmt, 0);
        g_array_append_val(self->sessions, opened_seq);
    }
    return stmt != NULL && got == 0;
}

static bool
list_old(Retire *self, int64_t after, GError **error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(self->ledger->db,
                                         error,
                                         "select opened_seq from session where " TOO_OLD
                                         " and opened_seq > ? and opened_seq <= ?"
                                         " order by opened_seq limit ?",
                                         "iiii",
                                         self->before_us,
                                         after,
                                         after + LOOK_ROWS,
                                         (int64_t)AT_ONCE);

    return take_rows(self, stmt, error);
}

/* All else that is too old and lies in the same segments: a segment is written anew for each
 * transaction that something goes out of it in. */
static bool
add_neighbours(Retire *self, GError **error)
{
    const int64_t first = g_array_index(self->sessions, int64_t, 0);
    const int64_t last = g_array_index(self->sessions, int64_t, self->sessions->len - 1);
    g_autoptr(PdStmt) stmt =
        pd_db_query(self->ledger->db,
                    error,
                    "select opened_seq from session where " TOO_OLD " and opened_seq > ?3"
                    " and segment in (select segment from session where opened_seq"
                    " between ?2 and ?3) order by opened_seq limit ?4",
                    "iiii",
                    self->before_us,
                    first,
                    last,
                    (int64_t)TOGETHER);

    return take_rows(self, stmt, error);
}

static bool
erase(Retire *self, const GArray *sessions, GError **error)
{
    PdDb *db = self->ledger->db;
    g_autofree char *reason =
        g_strdup_printf("older than the retention period of %u days", self->days);

    pd_db_clear_code(db);
    return pd_db_script(db, "begin immediate", error) &&
           pd_erase_sessions(self->ledger, sessions, reason, error) &&
           pd_db_script(db, "commit", error);
}

/* Whether to go on: not when the next session would fare no better. */
static bool
recover(Retire *self, const GError *error)
{
    const int code = pd_db_last_code(self->ledger->db);
    const bool is_own = code == SQLITE_CONSTRAINT || code == SQLITE_ERROR;

    self->has_failed = true;
    (void)sqlite3_exec(pd_db_handle(self->ledger->db), "rollback", NULL, NULL, NULL);
    /* A segment that cannot be written anew: a bad sector is one session's, a full disk all. */
    if (!is_own && g_error_matches(error, PD_ERROR, PD_ERROR_STORE)) {
        self->at->n_failed++;
    }
    return (is_own || code == SQLITE_OK) && self->at->n_failed < FAIL_MAX &&
           pd_ledger_reload(self->ledger, NULL);
}

static void
warn(Retire *self, int64_t opened_seq, const GError *error)
{
    g_autoptr(PdStmt) stmt = pd_db_query(
        self->ledger->db, NULL, "select id from session where opened_seq = ?", "i", opened_seq);
    const bool has = stmt != NULL && pd_db_step(self->ledger->db, stmt, NULL) > 0;

    g_warning("session %s is beyond the retention period and stays: %s",
              has ? pd_stmt_get_text(stmt, 0) : "",
              error->message);
}

/* Each by itself: what is wrong with one is in no other's way. */
static bool
erase_each(Retire *self, guint n, guint *n_out)
{
    for (guint i = 0; i < n; i++) {
        g_autoptr(GArray) one = g_array_new(FALSE, FALSE, sizeof(int64_t));
        g_autoptr(GError) error = NULL;
        g_array_append_val(one, g_array_index(self->sessions, int64_t, i));
        if (erase(self, one, &error)) {
            self->at->n_failed = 0;
            ++*n_out;
            continue;
        }
        const bool goes_on = recover(self, error);
        warn(self, g_array_index(one, int64_t, 0), error);
        if (!goes_on) {
            return false;
        }
    }
    return true;
}

/* @n_out: how many went. Returns false when the disk is at fault. */
static bool
erase_all(Retire *self, guint *n_out)
{
    const guint n_listed = self->sessions->len;
    g_autoptr(GError) error = NULL;

    if (n_listed == 0) {
        return true;
    }
    if (add_neighbours(self, &error) && erase(self, self->sessions, &error)) {
        self->at->n_failed = 0;
        *n_out = self->sessions->len;
        return true;
    }
    if (!recover(self, error)) {
        g_warning("what is beyond the retention period stays: %s", error->message);
        return false;
    }
    return erase_each(self, n_listed, n_out);
}

static bool
find_last(PdLedger *ledger, int64_t *last_out, GError **error)
{
    return pd_db_get_int(ledger->db, 0, last_out, error, "select max(opened_seq) from session");
}

/* The free pages of a whole round are overwritten once, at its end. */
static void
put_off_scrub(Retire *self, bool was_due, bool is_more)
{
    self->at->must_scrub = self->at->must_scrub || self->ledger->must_scrub;
    self->ledger->must_scrub = was_due || (self->at->must_scrub && !is_more);
    self->at->must_scrub = self->at->must_scrub && is_more;
}

static bool
look(Retire *self, GError **error)
{
    PdRetirement *at = self->at;
    const bool was_due = self->ledger->must_scrub;
    guint n_erased = 0;
    int64_t last = 0;

    if (!find_last(self->ledger, &last, error) || !list_old(self, at->after, error)) {
        return false;
    }
    const bool is_full = self->sessions->len == AT_ONCE;
    const int64_t upto =
        is_full ? g_array_index(self->sessions, int64_t, AT_ONCE - 1) : at->after + LOOK_ROWS;
    const bool is_more = erase_all(self, &n_erased) && upto < last;
    at->looked_us = is_more ? 0 : g_get_monotonic_time();
    at->after = is_more ? upto : 0;
    at->n_failed = is_more ? at->n_failed : 0;
    put_off_scrub(self, was_due, is_more);
    if (n_erased > 0) {
        g_message("%u sessions are older than %u days and were erased", n_erased, self->days);
    }
    return true;
}

/* Without a clock that is known to be right nothing is too old. */
int64_t
pd_erase_retire_due(const PdLedger *ledger, uint32_t days, const PdRetirement *at)
{
    if (days == 0 || !ledger->stamp.wall_synced) {
        return 0;
    }
    return at->looked_us == 0 ? g_get_monotonic_time() + PAUSE_US : at->looked_us + LOOK_US;
}

bool
pd_erase_retire(PdLedger *ledger, uint32_t days, PdRetirement *at)
{
    const int64_t due_us = pd_erase_retire_due(ledger, days, at);
    g_autoptr(GArray) sessions = g_array_new(FALSE, FALSE, sizeof(int64_t));
    Retire self = { .ledger = ledger,
                    .days = days,
                    .before_us = ledger->stamp.wall_us - (int64_t)days * DAY_US,
                    .sessions = sessions,
                    .at = at };
    g_autoptr(GError) error = NULL;

    if (due_us == 0) {
        put_off_scrub(&self, ledger->must_scrub, false);
        return true;
    }
    if (at->looked_us != 0 && g_get_monotonic_time() < due_us) {
        return true;
    }
    if (!look(&self, &error)) {
        g_warning("the retention period: %s", error->message);
        at->looked_us = g_get_monotonic_time();
        put_off_scrub(&self, ledger->must_scrub, false);
        return false;
    }
    return !self.has_failed;
}
