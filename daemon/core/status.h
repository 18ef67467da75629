/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

/* What the core can say of its input. Callers count these; none is fatal. */
typedef enum {
    PEN_STATUS_OK = 0,
    PEN_STATUS_AGAIN,       /* whole so far, more bytes wanted */
    PEN_STATUS_SHORT,       /* fewer bytes than the header needs */
    PEN_STATUS_BAD_LENGTH,  /* the length field and the bytes disagree */
    PEN_STATUS_TOO_LONG,    /* beyond PEN_RECORD_MAX */
    PEN_STATUS_BAD_CRC,     /* CRC-32C does not fit */
    PEN_STATUS_BAD_COUNTER, /* a segment is missing or out of order */
    PEN_STATUS_BAD_BODY,    /* the protobuf body does not parse or lies about itself */
    PEN_STATUS_UNKNOWN,     /* whole, but of a body type this version does not know */
    PEN_STATUS_VERSION,     /* unknown major version */
    PEN_STATUS_NO_SPACE,    /* the caller's buffer is too small */
} PenStatus;

#define PEN_MUST_CHECK __attribute__((warn_unused_result))

/** Name a status for logs and counters. Owns: static string. */
const char *pen_status_name(PenStatus status);
