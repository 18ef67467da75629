/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Holds: what neither an operator nor the retention period may erase.
 */
#include "store/annotate.h"
#include "store/erase.h"
#include "util/error.h"

#include <string.h>

typedef struct {
    char *id;
    char *reason;
    bool release;
    uint32_t uid;
    uint64_t *seq_out;
} HoldJob;

static bool
write_hold(PdLedger *ledger, const HoldJob *job, char *uuid, uint64_t opened_seq, GError **error)
{
    Pentel__V1__JournalEntry entry;
    Pentel__V1__Hold hold;

    pentel__v1__hold__init(&hold);
    pentel__v1__journal_entry__init(&entry);
    hold.reason = job->reason;
    hold.released = job->release;
    entry.session = uuid;
    entry.uid = job->uid;
    entry.kind_case = PENTEL__V1__JOURNAL_ENTRY__KIND_HOLD;
    entry.hold = &hold;
    return pd_journal_append(ledger->db, &ledger->stamp, &entry, job->seq_out, error) &&
           pd_hold_write(ledger->db, &hold, opened_seq, error);
}

static bool
run_hold(gpointer data, PdLedger *ledger, GError **error)
{
    const HoldJob *job = data;
    uint64_t opened_seq = 0;
    char uuid[37];

    if ((!job->release && job->reason[0] == '\0') || strlen(job->reason) > PD_REASON_MAX_BYTES ||
        !g_utf8_validate(job->reason, -1, NULL)) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_INVALID_ARGUMENT,
                    "give a reason of at most %u bytes",
                    PD_REASON_MAX_BYTES);
        return false;
    }
    return pd_find_session(ledger->db, job->id, uuid, &opened_seq, error) &&
           pd_check_not_erased(ledger->db, opened_seq, error) &&
           write_hold(ledger, job, uuid, opened_seq, error);
}

static void
free_hold(gpointer data)
{
    HoldJob *job = data;

    g_free(job->id);
    g_free(job->reason);
    g_free(job);
}

PdJob
pd_job_hold(const char *id, const char *reason, bool release, uint32_t uid, uint64_t *seq_out)
{
    HoldJob *job = g_new0(HoldJob, 1);

    job->id = g_strdup(id);
    job->reason = g_strdup(reason);
    job->release = release;
    job->uid = uid;
    job->seq_out = seq_out;
    return (PdJob){ .run = run_hold, .data = job, .free = free_hold };
}
