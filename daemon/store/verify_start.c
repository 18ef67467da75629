/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What must fit together before a start trusts a store that was not closed: a disk that says to
 * have written what it has not leaves pages of different ages after a cut, which SQLite may not
 * notice. Who does not know that a record is gone asks no pen for it, and lets the pen forget it.
 */
#include "store/verify.h"
#include "util/error.h"

bool
pd_verify_at_start(const char *index, const char *raw_directory, bool *cut_out, GError **error)
{
    g_autoptr(PdVerify) verify = pd_verify_new(index, raw_directory, NULL);
    g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func((GDestroyNotify)pd_finding_free);

    pd_verify_leave_out_segments(verify);
    while (pd_verify_step(verify, findings) && findings->len == 0) {
    }
    *cut_out = pd_verify_was_cut(verify);
    if (*cut_out || findings->len == 0) {
        return true;
    }
    const PdFinding *first = findings->pdata[0];
    g_set_error(error,
                PD_ERROR,
                PD_ERROR_STORE,
                "it was not closed, or was doubted, and does not fit together: %s: %s",
                first->where,
                first->what);
    return false;
}
