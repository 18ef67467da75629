/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Who read what, kept by the system's journal and not by ours: reading changes nothing
 * of a session. Names ids only, never what a session says.
 */
#include "service/audit.h"

#include "util/log.h"

void
pd_service_audit_read(uint32_t uid, const char *session_id, const char *what)
{
    const PdLogEvent event = {
        .message_id = PD_LOG_SESSION_READ, .session_id = session_id, .has_uid = true, .uid = uid
    };

    pd_log_event(G_LOG_DOMAIN,
                 &event,
                 "user %u read %s%s%s",
                 uid,
                 what,
                 session_id != NULL ? " " : "",
                 session_id != NULL ? session_id : "");
}
