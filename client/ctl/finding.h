/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "lib/json.h"
#include "lib/term.h"

/* What a check found; ordered by how bad it is. */
typedef enum {
    CTL_SEVERITY_OK = 0,
    CTL_SEVERITY_INFO,
    CTL_SEVERITY_WARNING,
    CTL_SEVERITY_ERROR,
} CtlSeverity;

typedef struct CtlFindings CtlFindings;

/** Make an empty list. Owns: free with ctl_findings_free(). */
CtlFindings *ctl_findings_new(void);
void ctl_findings_free(CtlFindings *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlFindings, ctl_findings_free)

/** Add a finding. @check: static. @advice: NULL when there is nothing to do. Owns: copies. */
void ctl_findings_add(CtlFindings *self,
                      const char *check,
                      CtlSeverity severity,
                      const char *advice,
                      const char *format,
                      ...) G_GNUC_PRINTF(5, 6);

/** Severity by its name on the bus; info when it is another. */
CtlSeverity ctl_severity_from_text(const char *text);

/** The worst of the findings. */
CtlSeverity ctl_findings_get_worst(const CtlFindings *self);

void ctl_findings_append_json(const CtlFindings *self, GString *out);
void ctl_findings_append_text(const CtlFindings *self, const CliTerm *term, GString *out);
