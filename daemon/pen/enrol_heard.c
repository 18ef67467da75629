/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What an enrolment window heard, and why it was not the pen: somebody who holds a pen
 * in pairing mode wants to know whether it was heard at all.
 */
#include "pen/enrol.h"

#define HEARD_MAX 64u /* beyond it nobody reads on; names come from the radio */

typedef enum {
    OBJECTION, /* why it is not tried */
    UNFINISHED,
    RESULT, /* of a try */
} Rank;

typedef struct {
    char *text;
    Rank rank;
} Heard;

static void
free_heard(gpointer data)
{
    Heard *heard = data;

    g_free(heard->text);
    g_free(heard);
}

static gint
compare_addresses(gconstpointer a, gconstpointer b, gpointer user_data)
{
    return g_ascii_strcasecmp(a, b);
}

GTree *
pd_enrol_heard_new(void)
{
    return g_tree_new_full(compare_addresses, NULL, g_free, free_heard);
}

static void
note(PdEnrol *self, const PdBluezDevice *device, Rank rank, const char *why)
{
    const char *address = pd_bluez_device_get_address(device);
    const char *name = pd_bluez_device_get_name(device);

    const Heard *before = g_tree_lookup(self->heard, address);

    if (before == NULL && g_tree_nnodes(self->heard) >= (gint)HEARD_MAX) {
        return;
    }
    if (before != NULL && rank != RESULT && rank <= before->rank) {
        return;
    }
    Heard *heard = g_new0(Heard, 1);
    heard->rank = rank;
    heard->text = name != NULL ? g_strdup_printf("%s (%s): %s", name, address, why)
                               : g_strdup_printf("%s: %s", address, why);
    g_tree_replace(self->heard, g_strdup(address), heard);
}

void
pd_enrol_note(PdEnrol *self, const PdBluezDevice *device, const char *why)
{
    note(self, device, RESULT, why);
}

void
pd_enrol_note_objection(PdEnrol *self, const PdBluezDevice *device, const char *why)
{
    note(self, device, OBJECTION, why);
}

void
pd_enrol_note_try(PdEnrol *self, const PdBluezDevice *device)
{
    note(self, device, UNFINISHED, "the time was up while it was tried");
}

static gboolean
add_text(gpointer key, gpointer value, gpointer user_data)
{
    const Heard *heard = value;
    GString *texts = user_data;

    g_string_append_printf(texts, "%s%s", texts->len > 0 ? "; " : "", heard->text);
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
