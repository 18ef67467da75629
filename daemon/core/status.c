/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Names of statuses, for logs and counters.
 */
#include "core/status.h"

const char *
pen_status_name(PenStatus status)
{
    switch (status) {
    case PEN_STATUS_OK:
        return "ok";
    case PEN_STATUS_AGAIN:
        return "incomplete";
    case PEN_STATUS_SHORT:
        return "too short";
    case PEN_STATUS_BAD_LENGTH:
        return "wrong length";
    case PEN_STATUS_TOO_LONG:
        return "too long";
    case PEN_STATUS_BAD_CRC:
        return "wrong checksum";
    case PEN_STATUS_BAD_COUNTER:
        return "segment missing";
    case PEN_STATUS_BAD_BODY:
        return "malformed body";
    case PEN_STATUS_UNKNOWN:
        return "unknown body type";
    case PEN_STATUS_VERSION:
        return "unknown major version";
    case PEN_STATUS_NO_SPACE:
        return "buffer too small";
    }
    return "unknown status";
}
