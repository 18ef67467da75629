/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/ledger.h"

/* What a session amounts to beside its fold. */
typedef struct {
    bool is_over;
    bool is_final; /* over, and which number is its last is known */
    uint32_t last; /* number up to which it reaches, as far as is known */
    GArray *missing;
    const char *state;
    bool placed;
    int64_t start_wall_us;
    int64_t end_wall_us;
    uint32_t time_error_us;
    char *closed_reason;
    char *old_state; /* NULL: no row yet */
    char *old_definition;
    uint8_t old_receipt[32];
    bool has_old_receipt;
} PdVerdict;

void pd_verdict_clear(PdVerdict *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PdVerdict, pd_verdict_clear)

/** Anchors of a boot, up to 32 on either side of @tick_us. Owns: PenAnchor array of the caller. */
GArray *pd_verdict_load_anchors(
    PdDb *db, uint64_t log_id, uint32_t boot, uint64_t tick_us, GError **error);

/** Judge a session whose row exists. Owns: @verdict is the caller's to clear. */
bool pd_verdict_judge(PdLedger *ledger,
                      const PdLog *log,
                      const PdSessionFold *session,
                      const PenSessionFold *fold,
                      PdVerdict *verdict,
                      GError **error);
