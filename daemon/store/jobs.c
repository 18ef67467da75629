/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * One function per thing a transaction can be asked to do.
 */
#include "store/jobs.h"

#include "util/error.h"

#include <string.h>

typedef struct {
    uint64_t log_id;
    uint32_t first;
    uint32_t last;
    PdCause cause;
} Settle;

static bool
run_settle(gpointer data, PdLedger *ledger, GError **error)
{
    const Settle *settle = data;

    return pd_ledger_settle(
        ledger, settle->log_id, settle->first, settle->last, settle->cause, error);
}

PdJob
pd_job_settle(uint64_t log_id, uint32_t first, uint32_t last, PdCause cause)
{
    const Settle settle = { .log_id = log_id, .first = first, .last = last, .cause = cause };

    return (PdJob){ .run = run_settle, .data = g_memdup2(&settle, sizeof settle), .free = g_free };
}

typedef struct {
    uint64_t log_id;
    uint32_t number;
    GBytes *bytes;
} Damaged;

static void
free_damaged(gpointer data)
{
    Damaged *damaged = data;

    g_bytes_unref(damaged->bytes);
    g_free(damaged);
}

static bool
run_damaged(gpointer data, PdLedger *ledger, GError **error)
{
    const Damaged *damaged = data;
    gsize n_bytes = 0;
    const uint8_t *bytes = g_bytes_get_data(damaged->bytes, &n_bytes);

    return pd_ledger_take_damaged(ledger, damaged->log_id, damaged->number, bytes, n_bytes, error);
}

PdJob
pd_job_damaged(uint64_t log_id, uint32_t number, const uint8_t *bytes, size_t n_bytes)
{
    Damaged *damaged = g_new0(Damaged, 1);

    damaged->log_id = log_id;
    damaged->number = number;
    damaged->bytes = g_bytes_new(bytes, n_bytes);
    return (PdJob){ .run = run_damaged, .data = damaged, .free = free_damaged };
}

typedef struct {
    uint64_t log_id;
    PenAnchor anchor;
} Anchor;

static bool
run_anchor(gpointer data, PdLedger *ledger, GError **error)
{
    const Anchor *anchor = data;

    return pd_ledger_add_anchor(ledger, anchor->log_id, &anchor->anchor, error);
}

PdJob
pd_job_anchor(uint64_t log_id, const PenAnchor *anchor)
{
    const Anchor copy = { .log_id = log_id, .anchor = *anchor };

    return (PdJob){ .run = run_anchor, .data = g_memdup2(&copy, sizeof copy), .free = g_free };
}

static bool
journal_marked(PdLedger *ledger, const PdLog *log, GError **error)
{
    Pentel__V1__JournalEntry entry;
    Pentel__V1__PenMarked marked;
    uint64_t seq = 0;

    pentel__v1__pen_marked__init(&marked);
    pentel__v1__journal_entry__init(&entry);
    marked.serial = log->serial;
    marked.log_id = log->log_id;
    marked.marked = log->marked;
    entry.uid = PD_JOURNAL_UID_SELF;
    entry.kind_case = PENTEL__V1__JOURNAL_ENTRY__KIND_PEN_MARKED;
    entry.pen_marked = &marked;
    return pd_journal_append(ledger->db, &ledger->stamp, &entry, &seq, error);
}

static bool
run_marked(gpointer data, PdLedger *ledger, GError **error)
{
    const Settle *marked = data;
    PdLog *log = pd_ledger_get_log(ledger, marked->log_id);

    if (marked->last <= log->marked) {
        return true;
    }
    log->marked = marked->last;
    log->marked_wall_us = ledger->stamp.wall_us;
    return pd_ledger_write_log(ledger, log, error) && journal_marked(ledger, log, error);
}

PdJob
pd_job_marked(uint64_t log_id, uint32_t marked)
{
    const Settle data = { .log_id = log_id, .last = marked };

    return (PdJob){ .run = run_marked, .data = g_memdup2(&data, sizeof data), .free = g_free };
}

static PdPenInfo *
copy_pen(const PdPenInfo *pen)
{
    PdPenInfo *copy = g_memdup2(pen, sizeof *pen);

    copy->serial = g_strdup(pen->serial);
    copy->address = g_strdup(pen->address);
    copy->name = g_strdup(pen->name);
    copy->firmware = g_strdup(pen->firmware);
    copy->adapters = g_strdupv(pen->adapters);
    return copy;
}

static bool
is_enrolled(PdLedger *ledger, const char *serial, bool *answer_out, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db, error, "select 1 from pen where serial = ?", "t", serial);
    const int got = stmt == NULL ? -1 : pd_db_step(ledger->db, stmt, error);

    *answer_out = got > 0;
    return got >= 0;
}

static bool
journal_enrolled(PdLedger *ledger, const PdPenInfo *pen, const char *adapters, GError **error)
{
    Pentel__V1__JournalEntry entry;
    Pentel__V1__PenEnrolled enrolled;
    uint64_t seq = 0;

    pentel__v1__pen_enrolled__init(&enrolled);
    pentel__v1__journal_entry__init(&entry);
    enrolled.serial = pen->serial;
    enrolled.address = pen->address;
    enrolled.adapter = (char *)(uintptr_t)adapters;
    entry.uid = PD_JOURNAL_UID_SELF;
    entry.kind_case = PENTEL__V1__JOURNAL_ENTRY__KIND_PEN_ENROLLED;
    entry.pen_enrolled = &enrolled;
    return pd_journal_append(ledger->db, &ledger->stamp, &entry, &seq, error);
}

static bool
write_pen(PdLedger *ledger, const PdPenInfo *pen, const char *adapters, GError **error)
{
    return pd_db_run(
        ledger->db,
        error,
        "insert into pen (serial, address, name, firmware, adapters, log_id, last_seen_us,"
        " overwritten) values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (serial) do update set"
        " address = excluded.address, name = excluded.name, firmware = excluded.firmware,"
        " adapters = excluded.adapters, log_id = excluded.log_id,"
        " last_seen_us = excluded.last_seen_us, overwritten = excluded.overwritten",
        "tttttiii",
        pen->serial,
        pen->address,
        pen->name,
        pen->firmware,
        adapters,
        (int64_t)pen->log_id,
        pen->last_seen_us,
        (int64_t)pen->overwritten);
}

/* Sessions that were stored before anybody said whose log theirs is; and those that a pen
 * left open in a log it no longer has. */
static bool
touch_sessions(PdLedger *ledger, const PdPenInfo *pen, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(ledger->db,
                    error,
                    "select log_id, number from session where (log_id = ?1 and tick_unit != ?2)"
                    " or (log_id != ?1 and serial = ?3 and state = 'open') limit 64",
                    "iit",
                    (int64_t)pen->log_id,
                    (int64_t)pen->tick_unit,
                    pen->serial);
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(ledger->db, stmt, error)) > 0) {
        PdSessionFold *session = pd_ledger_get_session(ledger,
                                                       (uint64_t)sqlite3_column_int64(stmt, 0),
                                                       (uint32_t)sqlite3_column_int64(stmt, 1),
                                                       error);
        if (session == NULL) {
            return false;
        }
        session->dirty = true;
        session->is_urgent = true;
    }
    return stmt != NULL && got == 0;
}

/* The id is the log's for ever, and so is the pen that made it: another that comes with it has
 * copied it. Sessions are not put down to somebody else afterwards. */
static bool
check_log(PdLedger *ledger, const PdPenInfo *pen, GError **error)
{
    const PdLog *log = pen->log_id != 0 ? pd_ledger_get_log(ledger, pen->log_id) : NULL;

    if (log == NULL || log->serial[0] == '\0' || g_str_equal(log->serial, pen->serial)) {
        return true;
    }
    g_set_error(error,
                PD_ERROR,
                PD_ERROR_WRONG_PEN,
                "the pen %s claims the log of the pen %s",
                pen->serial,
                log->serial);
    return false;
}

static bool
describe_log(PdLedger *ledger, const PdPenInfo *pen, GError **error)
{
    PdLog *log = pd_ledger_get_log(ledger, pen->log_id);

    if (g_str_equal(log->serial, pen->serial) && log->tick_unit == pen->tick_unit) {
        return true;
    }
    g_free(log->serial);
    log->serial = g_strdup(pen->serial);
    log->tick_unit = pen->tick_unit;
    log->changed = true;
    return pd_ledger_write_log(ledger, log, error) &&
           pd_db_run(ledger->db,
                     error,
                     "update session set serial = ? where log_id = ?",
                     "ti",
                     pen->serial,
                     (int64_t)pen->log_id) &&
           touch_sessions(ledger, pen, error);
}

static bool
run_save_pen(gpointer data, PdLedger *ledger, GError **error)
{
    const PdPenInfo *pen = data;
    g_autofree char *adapters =
        pen->adapters != NULL ? g_strjoinv(",", pen->adapters) : g_strdup("");
    bool enrolled = false;

    if (!check_log(ledger, pen, error) || !is_enrolled(ledger, pen->serial, &enrolled, error) ||
        !write_pen(ledger, pen, adapters, error) ||
        (!enrolled && !journal_enrolled(ledger, pen, adapters, error))) {
        return false;
    }
    return pen->log_id == 0 || describe_log(ledger, pen, error);
}

static void
free_pen(gpointer data)
{
    pd_pen_info_free(data);
}

PdJob
pd_job_save_pen(const PdPenInfo *pen)
{
    return (PdJob){ .run = run_save_pen, .data = copy_pen(pen), .free = free_pen };
}

typedef struct {
    char *serial;
    uint32_t n_unread;
    uint32_t uid;
} Forget;

static void
free_forget(gpointer data)
{
    Forget *forget = data;

    g_free(forget->serial);
    g_free(forget);
}

static bool
run_forget(gpointer data, PdLedger *ledger, GError **error)
{
    const Forget *forget = data;
    Pentel__V1__JournalEntry entry;
    Pentel__V1__PenForgotten forgotten;
    bool enrolled = false;
    uint64_t seq = 0;

    pentel__v1__pen_forgotten__init(&forgotten);
    pentel__v1__journal_entry__init(&entry);
    if (!is_enrolled(ledger, forget->serial, &enrolled, error)) {
        return false;
    }
    if (!enrolled) {
        g_set_error(error, PD_ERROR, PD_ERROR_NOT_FOUND, "no pen %s is enrolled", forget->serial);
        return false;
    }
    forgotten.serial = forget->serial;
    forgotten.unread = forget->n_unread;
    entry.uid = forget->uid;
    entry.kind_case = PENTEL__V1__JOURNAL_ENTRY__KIND_PEN_FORGOTTEN;
    entry.pen_forgotten = &forgotten;
    return pd_db_run(ledger->db, error, "delete from pen where serial = ?", "t", forget->serial) &&
           pd_journal_append(ledger->db, &ledger->stamp, &entry, &seq, error);
}

PdJob
pd_job_forget_pen(const char *serial, uint32_t n_unread, uint32_t uid)
{
    Forget *forget = g_new0(Forget, 1);

    forget->serial = g_strdup(serial);
    forget->n_unread = n_unread;
    forget->uid = uid;
    return (PdJob){ .run = run_forget, .data = forget, .free = free_forget };
}
