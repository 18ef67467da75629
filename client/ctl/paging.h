/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/command.h"

/* Sessions of Log1.ListSessions, page by page, as the options of a verb say. */
typedef struct {
    CtlRun *run;      /* borrowed */
    GVariant *filter; /* owned */
    char *cursor;     /* owned; NULL at the end */
    guint64 n_left;   /* sessions still wanted */
} CtlPaging;

/** Read the filter options. Errors: printed; their code is returned, @self_out is cleared. */
CtlExit ctl_paging_init(CtlPaging *self_out, CtlRun *run, guint64 limit);

void ctl_paging_clear(CtlPaging *self);

/** Get the next page; *page_out is the caller's, NULL when nothing is left. */
CtlExit ctl_paging_next(CtlPaging *self, GVariant **page_out);
