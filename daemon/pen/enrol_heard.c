/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What an enrolment window heard, and why it was not the pen: somebody who holds a pen
 * in pairing mode wants to know whether it was heard at all.
 */
#include "pen/enrol.h"

#define HEARD_MAX 64u /* beyond it nobody reads on; names come from the radio */

void
pd_enrol_note(PdEnrol *self, const PdBluezDevice *device, const char *why)
{
    const char *address = pd_bluez_device_get_address(device);
    const char *name = pd_bluez_device_get_name(device);

    if (g_tree_nnodes(self->heard) >= (gint)HEARD_MAX &&
        g_tree_lookup(self->heard, address) == NULL) {
        return;
    }
    char *text = name != NULL ? g_strdup_printf("%s (%s): %s", name, address, why)
                              : g_strdup_printf("%s: %s", address, why);
    g_tree_replace(self->heard, g_strdup(address), text);
}

bool
pd_enrol_is_noted(const PdEnrol *self, const PdBluezDevice *device)
{
    return g_tree_lookup(self->heard, pd_bluez_device_get_address(device)) != NULL;
}

static gboolean
add_text(gpointer key, gpointer value, gpointer user_data)
{
    GString *texts = user_data;

    g_string_append_printf(texts, "%s%s", texts->len > 0 ? "; " : "", (const char *)value);
    return FALSE;
}

char *
pd_enrol_dup_outcome(const PdEnrol *self)
{
    if (g_tree_nnodes(self->heard) > 0) {
        GString *texts = g_string_new(NULL);
        g_tree_foreach(self->heard, add_text, texts);
        return g_string_free(texts, FALSE);
    }
    return g_strdup(self->problem != NULL
                        ? self->problem
                        : "none was heard; switch it on and put it in pairing mode");
}
