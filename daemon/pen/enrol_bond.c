/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The one device that an enrolment window tries: its bond, its link, who it is. The one
 * place where a bond is deleted: that of a pen which lost its own (F11), and the one that
 * was made only to learn that it is another pen.
 */
#include "bluez/error.h"
#include "pen/enrol.h"

#include <string.h>

#define POLL_MS       100
#define READY_US      8000000 /* P19, with the time encryption takes */
#define CONNECT_MS    20000   /* a pen that was heard (P11) */
#define REFUSED_MIN_S 2u      /* a pen that refused is given time, more each time, ... */
#define REFUSED_MAX_S 8u      /* ... but its pairing mode lasts only 60 s */
#define REFUSALS_MAX  3u      /* on an adapter more: the pen left its pairing mode */

/* Is it the pen that was asked for, and no other's double? */
static GError *
check_identity(PdEnrol *self)
{
    const char *serial = self->feature.serial;
    const PdPen *other = pd_manager_find(self->manager, serial);

    if (other != NULL && g_ascii_strcasecmp(other->info->address, self->address) != 0) {
        return g_error_new(PD_ERROR,
                           PD_ERROR_WRONG_PEN,
                           "the pen at %s claims serial %s, which belongs to the bond of the pen "
                           "at %s; forget that one first if the pen's radio was replaced",
                           self->address,
                           serial,
                           other->info->address);
    }
    const PdPen *known = pd_manager_find_by_address(self->manager, self->address);
    if (known != NULL && strcmp(known->info->serial, serial) != 0) {
        return g_error_new(PD_ERROR,
                           PD_ERROR_WRONG_PEN,
                           "the pen at %s was enrolled with serial %s and now says %s",
                           self->address,
                           known->info->serial,
                           serial);
    }
    g_autofree char *owner = pd_manager_dup_log_owner(self->manager, self->feature.log_id, serial);
    if (owner != NULL) {
        return g_error_new(PD_ERROR,
                           PD_ERROR_WRONG_PEN,
                           "the pen at %s claims the log of the pen %s; if its serial was changed, "
                           "it must begin a new log",
                           self->address,
                           owner);
    }
    if (self->wanted[0] != '\0' && strchr(self->wanted, ':') == NULL &&
        strcmp(self->wanted, serial) != 0) {
        return g_error_new(PD_ERROR,
                           PD_ERROR_WRONG_PEN,
                           "the pen at %s has serial %s, not %s",
                           self->address,
                           serial,
                           self->wanted);
    }
    return NULL;
}

static GError *
take_feature(PdEnrol *self, GBytes *value)
{
    gsize n_bytes = 0;
    const uint8_t *bytes = g_bytes_get_data(value, &n_bytes);
    const PenStatus status = pen_feature_decode(bytes, n_bytes, &self->feature);

    if (status == PEN_STATUS_VERSION) {
        return g_error_new(PD_ERROR,
                           PD_ERROR_VERSION,
                           "the pen at %s speaks version %u of the profile, this version of "
                           "penteld knows %u",
                           self->address,
                           self->feature.major,
                           (unsigned)PEN_PROFILE_MAJOR);
    }
    if (status != PEN_STATUS_OK || self->feature.serial[0] == '\0' || self->feature.log_id == 0) {
        return g_error_new(PD_ERROR,
                           PD_ERROR_MALFORMED,
                           "the pen at %s sends a Feature that cannot be read (%s)",
                           self->address,
                           pen_status_name(status));
    }
    return check_identity(self);
}

static void
on_removed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_device_remove_finish(NULL, result, &error);

    if (pd_enrol_is_over(self)) {
        return;
    }
    g_clear_pointer(&self->device, pd_bluez_device_unref);
    pd_enrol_retry(self, done ? NULL : error->message);
}

static gboolean
on_may_remove(gpointer user_data)
{
    PdEnrol *self = user_data;

    if (pd_bluez_device_is_connected(self->device)) {
        return G_SOURCE_CONTINUE; /* RemoveDevice of a linked device may hang (F11) */
    }
    self->timer_id = 0;
    self->is_linked = false;
    pd_bluez_device_remove_async(self->device, self->calls, on_removed, pd_enrol_ref(self));
    return G_SOURCE_REMOVE;
}

static void
remove_device(PdEnrol *self)
{
    self->step = PD_ENROL_REMOVE;
    self->had_bond = false;
    if (pd_bluez_device_is_connected(self->device)) {
        pd_bluez_device_disconnect_async(
            self->device, NULL, pd_enrol_on_ignored_disconnect, pd_bluez_device_ref(self->device));
    }
    pd_enrol_set_timer(self, POLL_MS, on_may_remove);
}

/* The pen forgot a bond that is still here: only an operator's command may end it. */
static void
replace_bond(PdEnrol *self)
{
    g_message("enrolment: %s has lost its bond, deleting ours",
              pd_bluez_device_get_address(self->device));
    pd_enrol_set_problem(self, "the old bond was deleted, waiting for the pen");
    pd_enrol_note(self, self->device, self->problem);
    remove_device(self);
}

/*
 * A pen that forgot us refuses, or drops every link at once (F11). One lost link is
 * none: the bond would be gone for nothing.
 */
static bool
is_bond_lost(PdEnrol *self, const GError *error)
{
    if (!self->had_bond) {
        return false;
    }
    if (g_error_matches(error, PD_ERROR, PD_ERROR_BLUEZ_AUTH)) {
        return true;
    }
    if (g_error_matches(error, PD_ERROR, PD_ERROR_DISCONNECTED) ||
        pd_bluez_error_get_hint(error) == PD_BLUEZ_HINT_ABORT_BY_LOCAL) {
        self->n_dropped++;
    }
    return self->n_dropped >= PEN_LINK_ABORTS_MAX;
}

static void
on_link_failed(PdEnrol *self, const GError *error)
{
    if (is_bond_lost(self, error)) {
        self->n_dropped = 0;
        replace_bond(self);
        return;
    }
    pd_enrol_retry(self, error->message);
}

/* Owns: the window's. */
static PdEnrolRefusal *
get_refusal(PdEnrol *self)
{
    const char *address = pd_bluez_device_get_address(self->device);
    PdEnrolRefusal *refusal = g_hash_table_lookup(self->refused, address);

    if (refusal == NULL) {
        refusal = g_new0(PdEnrolRefusal, 1);
        g_hash_table_insert(self->refused, g_strdup(address), refusal);
    }
    return refusal;
}

/* 2 s, 4 s, 8 s: to ask on would keep the radio from everybody, and the pen awake. */
static void
give_time(PdEnrol *self)
{
    PdEnrolRefusal *refusal = get_refusal(self);
    uint32_t pause_s = REFUSED_MIN_S;

    for (uint32_t i = 0; i < refusal->n_times && pause_s < REFUSED_MAX_S; i++) {
        pause_s *= 2;
    }
    refusal->n_times++;
    refusal->until_us = g_get_monotonic_time() + pause_s * INT64_C(1000000);
    g_message("enrolment: %s refuses to pair; asked again in %u s",
              pd_bluez_device_get_address(self->device),
              pause_s);
}

/* Not the pen that is looked for: nothing of the try remains, and the next one has its. */
static void
let_wrong_go(PdEnrol *self, const GError *refusal)
{
    g_message("enrolment: %s", refusal->message);
    get_refusal(self)->until_us = G_MAXINT64;
    g_clear_pointer(&self->address, g_free);
    if (self->had_bond) {
        pd_enrol_retry(self, refusal->message); /* not ours to delete */
        return;
    }
    pd_enrol_set_problem(self, refusal->message);
    pd_enrol_note(self, self->device, refusal->message);
    remove_device(self);
}

static void
take_bond(PdEnrol *self)
{
    const char *name = pd_bluez_device_get_name(self->device);

    if (name != NULL) {
        g_free(self->name);
        self->name = g_strdup(name);
    }
    g_ptr_array_add(self->bonded, g_strdup(pd_enrol_get_adapter(self)));
    pd_enrol_next_adapter(self);
}

static void
on_feature(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) value = pd_bluez_char_read_finish(NULL, result, &error);

    if (pd_enrol_is_over(self)) {
        return;
    }
    if (value == NULL) {
        on_link_failed(self, error);
        return;
    }
    g_autoptr(GError) refusal = take_feature(self, value);
    if (refusal == NULL) {
        take_bond(self);
    } else if (pd_enrol_is_search(self) &&
               (self->is_guess || g_error_matches(refusal, PD_ERROR, PD_ERROR_WRONG_PEN))) {
        let_wrong_go(self, refusal);
    } else {
        pd_enrol_fail(self, g_steal_pointer(&refusal));
    }
}

static gboolean
on_wait_ready(gpointer user_data)
{
    PdEnrol *self = user_data;
    const int64_t waited_us = g_get_monotonic_time() - self->ready_us;

    if (!pd_bluez_device_is_connected(self->device)) {
        self->timer_id = 0;
        g_autoptr(GError) error = g_error_new(
            PD_ERROR, PD_ERROR_DISCONNECTED, "the pen at %s ended the link", self->address);
        on_link_failed(self, error);
        return G_SOURCE_REMOVE;
    }
    if (pd_bluez_device_is_ready(self->device, pd_pen_chars, PD_N_CHARS)) {
        self->timer_id = 0;
        self->step = PD_ENROL_READ;
        pd_bluez_char_read_async(self->device,
                                 &pd_pen_chars[PD_CHAR_FEATURE],
                                 self->calls,
                                 on_feature,
                                 pd_enrol_ref(self));
        return G_SOURCE_REMOVE;
    }
    if (waited_us > READY_US) {
        self->timer_id = 0;
        pd_enrol_retry(self, "the pen does not show its services");
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void
wait_ready(PdEnrol *self)
{
    self->is_linked = true;
    self->step = PD_ENROL_READY;
    self->ready_us = g_get_monotonic_time();
    pd_enrol_set_timer(self, POLL_MS / 4, on_wait_ready);
}

static void
on_pair_failed(PdEnrol *self, const GError *error)
{
    const bool is_refusal = g_error_matches(error, PD_ERROR, PD_ERROR_PAIRING_FAILED);
    const char *why = is_refusal
                          ? "the pen refuses to pair; hold its button until it is in pairing mode"
                          : error->message;

    if (is_refusal) {
        give_time(self);
    }
    if (self->bonded->len > 0 && ++self->n_refused >= REFUSALS_MAX) {
        pd_enrol_skip_adapter(self, why);
        return;
    }
    pd_enrol_retry(self, why);
}

static void
on_paired(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_device_pair_finish(NULL, result, &error);

    if (pd_enrol_is_over(self)) {
        return;
    }
    if (done) {
        wait_ready(self);
        return;
    }
    self->is_linked = true; /* Pair may have linked it */
    on_pair_failed(self, error);
}

static void
on_linked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_device_connect_finish(NULL, result, &error);

    if (pd_enrol_is_over(self)) {
        return;
    }
    if (!done) {
        on_link_failed(self, error);
        return;
    }
    wait_ready(self);
}

void
pd_enrol_link_device(PdEnrol *self)
{
    self->step = PD_ENROL_LINK;
    g_free(self->address);
    self->address = g_strdup(pd_bluez_device_get_address(self->device));
    self->had_bond = pd_bluez_device_is_bonded(self->device);
    if (self->had_bond) {
        pd_bluez_device_connect_async(
            self->device, CONNECT_MS, self->calls, on_linked, pd_enrol_ref(self));
    } else {
        pd_bluez_device_pair_async(self->device, self->calls, on_paired, pd_enrol_ref(self));
    }
}
