/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The values that the store hands out, and their freeing.
 */
#include "store/store.h"

const char *
pd_cause_to_string(PdCause cause)
{
    switch (cause) {
    case PD_CAUSE_NONE:
        return "none";
    case PD_CAUSE_OVERWRITTEN:
        return "overwritten";
    case PD_CAUSE_HOLE_FLASH_ERROR:
        return "hole:flash-error";
    case PD_CAUSE_HOLE_TORN_WRITE:
        return "hole:torn-write";
    case PD_CAUSE_HOLE_UNSPECIFIED:
        return "hole:unspecified";
    case PD_CAUSE_DAMAGED:
        return "damaged";
    case PD_CAUSE_HELD_ELSEWHERE:
        return "held-elsewhere";
    case PD_CAUSE_MISSING:
        return "missing";
    }
    return "unknown";
}

void
pd_pen_info_free(PdPenInfo *self)
{
    if (self == NULL) {
        return;
    }
    g_free(self->serial);
    g_free(self->address);
    g_free(self->name);
    g_free(self->firmware);
    g_strfreev(self->adapters);
    g_free(self);
}

void
pd_session_free(PdSession *self)
{
    if (self == NULL) {
        return;
    }
    g_free(self->serial);
    g_free(self->state);
    g_clear_pointer(&self->missing, g_array_unref);
    g_strfreev(self->zones);
    g_free(self->patient);
    g_free(self->operator_name);
    g_free(self->note);
    g_free(self->reaction);
    g_free(self->order);
    g_free(self->closed_reason);
    g_free(self->hold);
    g_clear_pointer(&self->passes, g_ptr_array_unref);
    g_clear_pointer(&self->notes, g_ptr_array_unref);
    g_free(self->definition);
    g_free(self);
}

void
pd_store_health_clear(PdStoreHealth *self)
{
    g_clear_pointer(&self->error, g_free);
}

void
pd_finding_free(PdFinding *self)
{
    g_free(self->where);
    g_free(self->what);
    g_free(self);
}
