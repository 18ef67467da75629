/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The enrolment window: the only time at which anything is discovered, paired or read
 * from a device without a bond (F10). It bonds one pen on one adapter after another
 * (F6), checks who it is, and is the one place where a bond is deleted: that of a pen
 * which lost its own (F11).
 */
#include "bluez/agent.h"
#include "bluez/error.h"
#include "pen/pen.h"

#include <string.h>

#define TIMEOUT_DEFAULT_S 60u
#define TIMEOUT_MAX_S     300u
#define RETRY_MS          500 /* after a refused pairing or a failed link */
#define POLL_MS           100
#define READY_US          8000000  /* P19, with the time encryption takes */
#define CONNECT_MS        20000    /* a pen that was heard (P11) */
#define EXTRA_ADAPTER_US  10000000 /* for each adapter after the first */
#define REFUSED_FOR_US    5000000  /* a pen that refused is not tried again before */
#define UP_US             2000000  /* for bluetoothd's objects after our own start */
#define SCAN_STALE_US     3000000  /* heard so long before the scan still counts */

typedef enum {
    STEP_OPEN = 0,
    STEP_SCAN,
    STEP_STOP_SCAN,
    STEP_LINK,  /* Pair or Connect is pending */
    STEP_READY, /* waiting for the services */
    STEP_READ,
    STEP_REMOVE,
    STEP_SAVE,
    STEP_OVER,
} Step;

struct PdEnrol {
    unsigned n_refs;
    /* owned */
    GTask *task; /* NULL when it is over */
    GCancellable *calls;
    GCancellable *life; /* the manager's: cancelled when that is gone */
    PdBluezAgent *agent;
    PdBluezDevice *device; /* being tried */
    GPtrArray *adapters;   /* addresses, to go through */
    GPtrArray *bonded;     /* addresses that hold the bond now */
    GHashTable *refused;   /* device address -> CLOCK_MONOTONIC time, int64 on the heap */
    char *wanted;          /* "", address or serial */
    char *adapter;         /* address or name of the only one to use, NULL = all */
    char *address;         /* of the pen once it is known */
    char *scanning;        /* adapter, NULL = none */
    char *problem;         /* the last one, in words */
    /* borrowed; ends the window before it goes */
    PdPenManager *manager;
    PdPen *target; /* the enrolled pen that is meant, suspended; NULL = a new one */
    /* plain */
    PenFeature feature;
    Step step;
    guint adapter_at;
    guint timeout_id;
    guint timer_id;
    guint cancel_id;
    int64_t scan_us;    /* when this scan began */
    int64_t ready_us;   /* when waiting for services began */
    int64_t adapter_us; /* when this adapter's turn began */
    bool had_bond;      /* the device's bond is from before this window */
    bool is_linked;     /* we linked the device */
};

static void
enrol_unref(PdEnrol *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    g_clear_object(&self->calls);
    g_clear_object(&self->life);
    g_clear_pointer(&self->device, pd_bluez_device_unref);
    g_clear_pointer(&self->adapters, g_ptr_array_unref);
    g_ptr_array_unref(self->bonded);
    g_hash_table_unref(self->refused);
    g_free(self->wanted);
    g_free(self->adapter);
    g_free(self->address);
    g_free(self->scanning);
    g_free(self->problem);
    g_free(self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdEnrol, enrol_unref)

static PdEnrol *
enrol_ref(PdEnrol *self)
{
    self->n_refs++;
    return self;
}

static bool
is_over(const PdEnrol *self)
{
    return self->step == STEP_OVER;
}

static const char *
get_adapter(const PdEnrol *self)
{
    return g_ptr_array_index(self->adapters, self->adapter_at);
}

static void
set_problem(PdEnrol *self, const char *problem)
{
    g_free(self->problem);
    self->problem = g_strdup(problem);
}

static void
hold_all(PdEnrol *self, const char *adapter)
{
    for (guint i = 0; i < self->manager->pens->len; i++) {
        pd_pen_hold(g_ptr_array_index(self->manager->pens, i), adapter);
    }
}

static void
release_all(PdEnrol *self)
{
    for (guint i = 0; i < self->manager->pens->len; i++) {
        pd_pen_release(g_ptr_array_index(self->manager->pens, i));
    }
}

static void
on_ignored_stop(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;

    (void)pd_bluez_discovery_stop_finish(NULL, result, NULL);
    /* Now Connects are possible again (P9). */
    if (!g_cancellable_is_cancelled(self->life)) {
        release_all(self);
    }
}

static void
on_ignored_disconnect(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdBluezDevice) device = user_data;

    (void)pd_bluez_device_disconnect_finish(device, result, NULL);
}

static void
let_device_go(PdEnrol *self)
{
    if (self->device != NULL && self->is_linked && pd_bluez_device_is_connected(self->device)) {
        pd_bluez_device_disconnect_async(
            self->device, NULL, on_ignored_disconnect, pd_bluez_device_ref(self->device));
    }
    self->is_linked = false;
    g_clear_pointer(&self->device, pd_bluez_device_unref);
}

/* Everything that a window holds is given back at every exit (P14). */
static GTask *
close_window(PdEnrol *self)
{
    self->step = STEP_OVER;
    self->manager->enrol = NULL;
    g_cancellable_cancel(self->calls);
    g_clear_handle_id(&self->timeout_id, g_source_remove);
    g_clear_handle_id(&self->timer_id, g_source_remove);
    g_clear_handle_id(&self->cancel_id, g_source_remove);
    g_clear_pointer(&self->agent, pd_bluez_agent_close);
    if (self->scanning != NULL) {
        pd_bluez_discovery_stop_async(
            self->manager->bluez, self->scanning, NULL, on_ignored_stop, enrol_ref(self));
    } else {
        release_all(self);
    }
    return g_steal_pointer(&self->task);
}

/* Owns: takes @error. */
static void
fail(PdEnrol *self, GError *error)
{
    if (is_over(self)) {
        g_error_free(error);
        return;
    }
    g_autoptr(PdEnrol) alive = enrol_ref(self);
    PdPen *target = self->target;
    g_message("enrolment: %s", error->message);
    let_device_go(self);
    g_autoptr(GTask) task = close_window(self);
    if (target != NULL) {
        pd_pen_resume(target, false);
    }
    g_task_return_error(task, error);
    enrol_unref(self);
}

static void start_adapter(PdEnrol *self);
static void start_scan(PdEnrol *self);

static void
set_timer(PdEnrol *self, uint32_t delay_ms, GSourceFunc callback)
{
    g_clear_handle_id(&self->timer_id, g_source_remove);
    self->timer_id = g_timeout_add(delay_ms, callback, self);
}

static gboolean
on_retry(gpointer user_data)
{
    PdEnrol *self = user_data;

    self->timer_id = 0;
    start_adapter(self);
    return G_SOURCE_REMOVE;
}

/* Try again until the window ends; @problem is what it will have been. */
static void
retry(PdEnrol *self, const char *problem)
{
    g_debug("enrolment: %s", problem);
    set_problem(self, problem);
    let_device_go(self);
    self->step = STEP_OPEN;
    set_timer(self, RETRY_MS, on_retry);
}

static void
on_saved(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    GError *error = NULL;
    PdPenManager *manager = self->manager;

    if (is_over(self)) {
        return;
    }
    if (!pd_store_save_pen_finish(manager->store, result, &error)) {
        fail(self, error);
        return;
    }
    g_autofree char *serial = g_strdup(self->feature.serial);
    PdPen *pen = pd_manager_find(manager, serial);
    const bool is_linked = self->is_linked;
    self->is_linked = false; /* handed over */
    g_autoptr(GTask) task = close_window(self);
    g_message("%s enrolled at %s", serial, self->address);
    if (pen != NULL) {
        pd_pen_resume(pen, is_linked);
    }
    g_task_return_pointer(task, g_steal_pointer(&serial), g_free);
    enrol_unref(self);
}

static void
add_adapters(PdPenInfo *info, GPtrArray *bonded)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    for (char **adapter = info->adapters; adapter != NULL && *adapter != NULL; adapter++) {
        g_ptr_array_add(all, *adapter);
    }
    for (guint i = 0; i < bonded->len; i++) {
        char *adapter = g_ptr_array_index(bonded, i);

        if (!g_ptr_array_find_with_equal_func(all, adapter, g_str_equal, NULL)) {
            g_ptr_array_add(all, adapter);
        }
    }
    g_ptr_array_add(all, NULL);
    char **adapters = g_strdupv((char **)all->pdata);
    g_strfreev(info->adapters);
    info->adapters = adapters;
}

static void
take_info(PdEnrol *self, PdPenInfo *info)
{
    g_free(info->address);
    g_free(info->firmware);
    info->address = g_strdup(self->address);
    info->firmware = g_strdup(self->feature.firmware);
    if (self->device != NULL && pd_bluez_device_get_name(self->device) != NULL) {
        g_free(info->name);
        info->name = g_strdup(pd_bluez_device_get_name(self->device));
    }
    info->tick_unit = self->feature.tick_unit;
    info->last_seen_us = g_get_real_time();
    add_adapters(info, self->bonded);
}

/* Every adapter had its turn. */
static void
finish(PdEnrol *self)
{
    PdPenManager *manager = self->manager;
    PdPen *pen = pd_manager_find(manager, self->feature.serial);

    self->step = STEP_SAVE;
    g_clear_handle_id(&self->timer_id, g_source_remove);
    if (pen == NULL) {
        PdPenInfo *info = g_new0(PdPenInfo, 1);
        info->serial = g_strdup(self->feature.serial);
        info->log_id = self->feature.log_id;
        pen = pd_manager_add(manager, info);
        pen->is_suspended = true; /* until it is saved */
    } else if (pen != self->target) {
        pd_pen_suspend(pen);
    }
    self->target = pen;
    take_info(self, pen->info);
    pd_store_save_pen_async(manager->store, pen->info, NULL, on_saved, enrol_ref(self));
}

static void
next_adapter(PdEnrol *self)
{
    self->adapter_at++;
    self->adapter_us = g_get_monotonic_time();
    if (self->adapter_at >= self->adapters->len) {
        finish(self);
        return;
    }
    /* The pen has one link: the next adapter wants it. */
    let_device_go(self);
    self->step = STEP_OPEN;
    set_timer(self, RETRY_MS, on_retry);
}

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

    if (is_over(self)) {
        return;
    }
    g_clear_pointer(&self->device, pd_bluez_device_unref);
    retry(self, done ? "the old bond was deleted, waiting for the pen" : error->message);
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
    pd_bluez_device_remove_async(self->device, self->calls, on_removed, enrol_ref(self));
    return G_SOURCE_REMOVE;
}

/* The pen forgot a bond that is still here: only an operator's command may end it. */
static void
replace_bond(PdEnrol *self)
{
    g_message("enrolment: %s has lost its bond, deleting ours",
              pd_bluez_device_get_address(self->device));
    self->step = STEP_REMOVE;
    self->had_bond = false;
    if (pd_bluez_device_is_connected(self->device)) {
        pd_bluez_device_disconnect_async(
            self->device, NULL, on_ignored_disconnect, pd_bluez_device_ref(self->device));
    }
    set_timer(self, POLL_MS, on_may_remove);
}

static void
on_link_failed(PdEnrol *self, const GError *error)
{
    const bool is_bond_lost =
        self->had_bond && (g_error_matches(error, PD_ERROR, PD_ERROR_BLUEZ_AUTH) ||
                           g_error_matches(error, PD_ERROR, PD_ERROR_DISCONNECTED) ||
                           pd_bluez_error_get_hint(error) == PD_BLUEZ_HINT_ABORT_BY_LOCAL);

    if (is_bond_lost) {
        replace_bond(self);
        return;
    }
    retry(self, error->message);
}

static void
on_feature(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) value = pd_bluez_char_read_finish(NULL, result, &error);

    if (is_over(self)) {
        return;
    }
    if (value == NULL) {
        on_link_failed(self, error);
        return;
    }
    GError *refusal = take_feature(self, value);
    if (refusal != NULL) {
        fail(self, refusal);
        return;
    }
    g_ptr_array_add(self->bonded, g_strdup(get_adapter(self)));
    next_adapter(self);
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
        self->step = STEP_READ;
        pd_bluez_char_read_async(
            self->device, &pd_pen_chars[PD_CHAR_FEATURE], self->calls, on_feature, enrol_ref(self));
        return G_SOURCE_REMOVE;
    }
    if (waited_us > READY_US) {
        self->timer_id = 0;
        retry(self, "the pen does not show its services");
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void
wait_ready(PdEnrol *self)
{
    self->is_linked = true;
    self->step = STEP_READY;
    self->ready_us = g_get_monotonic_time();
    set_timer(self, POLL_MS / 4, on_wait_ready);
}

static void
note_refusal(PdEnrol *self)
{
    int64_t *at_us = g_new(int64_t, 1);

    *at_us = g_get_monotonic_time();
    g_hash_table_replace(self->refused, g_strdup(pd_bluez_device_get_address(self->device)), at_us);
}

static void
on_paired(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_device_pair_finish(NULL, result, &error);

    if (is_over(self)) {
        return;
    }
    if (done) {
        wait_ready(self);
        return;
    }
    self->is_linked = true; /* Pair may have linked it */
    if (g_error_matches(error, PD_ERROR, PD_ERROR_PAIRING_FAILED)) {
        note_refusal(self);
        retry(self, "the pen refuses to pair; hold its button until it is in pairing mode");
        return;
    }
    retry(self, error->message);
}

static void
on_linked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_device_connect_finish(NULL, result, &error);

    if (is_over(self)) {
        return;
    }
    if (!done) {
        on_link_failed(self, error);
        return;
    }
    wait_ready(self);
}

static void
link_device(PdEnrol *self)
{
    self->step = STEP_LINK;
    g_free(self->address);
    self->address = g_strdup(pd_bluez_device_get_address(self->device));
    self->had_bond = pd_bluez_device_is_bonded(self->device);
    if (self->had_bond) {
        pd_bluez_device_connect_async(
            self->device, CONNECT_MS, self->calls, on_linked, enrol_ref(self));
    } else {
        pd_bluez_device_pair_async(self->device, self->calls, on_paired, enrol_ref(self));
    }
}

static void
on_scan_stopped(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;

    /* A failure counts as stopped. */
    (void)pd_bluez_discovery_stop_finish(NULL, result, NULL);
    if (is_over(self)) {
        return;
    }
    g_clear_pointer(&self->scanning, g_free);
    release_all(self);
    if (self->device == NULL || !pd_bluez_device_is_present(self->device)) {
        retry(self, "the pen was heard but is gone");
        return;
    }
    link_device(self);
}

/* Owns: keeps its own reference of @device. */
static void
choose(PdEnrol *self, PdBluezDevice *device)
{
    self->step = STEP_STOP_SCAN;
    g_clear_handle_id(&self->timer_id, g_source_remove);
    self->device = pd_bluez_device_ref(device);
    pd_bluez_discovery_stop_async(
        self->manager->bluez, self->scanning, NULL, on_scan_stopped, enrol_ref(self));
}

static bool
has_refused(const PdEnrol *self, const char *address)
{
    const int64_t *at_us = g_hash_table_lookup(self->refused, address);

    return at_us != NULL && g_get_monotonic_time() - *at_us < REFUSED_FOR_US;
}

/* Is it the one that is wanted, as far as can be said before it is bonded? */
static bool
is_candidate(const PdEnrol *self, PdBluezDevice *device)
{
    const char *address = pd_bluez_device_get_address(device);
    const char *name = pd_bluez_device_get_name(device);
    const char *known = self->address != NULL  ? self->address
                        : self->target != NULL ? self->target->info->address
                                               : NULL;

    if (known != NULL && (self->bonded->len > 0 || self->target != NULL)) {
        return g_ascii_strcasecmp(known, address) == 0;
    }
    if (strchr(self->wanted, ':') != NULL) {
        return g_ascii_strcasecmp(self->wanted, address) == 0;
    }
    if (pd_manager_find_by_address(self->manager, address) != NULL || has_refused(self, address)) {
        return false;
    }
    if (self->wanted[0] == '\0' || (name != NULL && strstr(name, self->wanted) != NULL)) {
        return true;
    }
    return false;
}

static void
consider(PdEnrol *self, PdBluezDevice *device)
{
    const int64_t heard_us = pd_bluez_device_get_heard_us(device);

    if (self->step != STEP_SCAN ||
        g_ascii_strcasecmp(pd_bluez_device_get_adapter(device), get_adapter(self)) != 0 ||
        !pd_bluez_device_has_uuid(device, PD_PEN_SERVICE_UUID) || heard_us == 0 ||
        heard_us < self->scan_us - SCAN_STALE_US || pd_bluez_device_is_stuck(device) ||
        !is_candidate(self, device)) {
        return;
    }
    choose(self, device);
}

void
pd_enrol_on_device(PdEnrol *self, PdBluezDevice *device)
{
    consider(self, device);
}

static void
consider_all(PdEnrol *self)
{
    g_autoptr(GPtrArray) devices =
        pd_bluez_client_list_devices(self->manager->bluez, get_adapter(self));

    for (guint i = 0; i < devices->len && self->step == STEP_SCAN; i++) {
        consider(self, g_ptr_array_index(devices, i));
    }
}

/* An extra adapter that does not hear or bond the pen is left; the pen says so later. */
static gboolean
on_scan_poll(gpointer user_data)
{
    PdEnrol *self = user_data;
    const int64_t now_us = g_get_monotonic_time();

    if (self->bonded->len > 0 && now_us - self->adapter_us > EXTRA_ADAPTER_US) {
        self->timer_id = 0;
        self->step = STEP_OPEN;
        next_adapter(self);
        return G_SOURCE_REMOVE;
    }
    consider_all(self);
    return self->step == STEP_SCAN ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean
on_scan_again(gpointer user_data)
{
    PdEnrol *self = user_data;

    self->timer_id = 0;
    start_scan(self);
    return G_SOURCE_REMOVE;
}

static void
on_scanning(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    GError *error = NULL;
    const bool done = pd_bluez_discovery_start_finish(NULL, result, &error);

    if (is_over(self)) {
        g_clear_error(&error);
        return;
    }
    if (!done) {
        g_clear_pointer(&self->scanning, g_free);
        if (g_error_matches(error, PD_ERROR, PD_ERROR_NO_ADAPTER)) {
            fail(self, error);
            return;
        }
        /* A Connect that is being given up takes a moment (P9). */
        set_problem(self, error->message);
        g_error_free(error);
        set_timer(self, POLL_MS, on_scan_again);
        return;
    }
    self->step = STEP_SCAN;
    set_timer(self, POLL_MS, on_scan_poll);
    consider_all(self);
}

static void
start_scan(PdEnrol *self)
{
    static const char *const uuids[] = { PD_PEN_SERVICE_UUID, NULL };

    hold_all(self, get_adapter(self));
    self->scan_us = g_get_monotonic_time();
    self->scanning = g_strdup(get_adapter(self));
    pd_bluez_discovery_start_async(
        self->manager->bluez, self->scanning, uuids, self->calls, on_scanning, enrol_ref(self));
}

/* A device that is bonded here already need not be heard. */
static PdBluezDevice *
find_bonded(PdEnrol *self)
{
    const char *address = self->address;

    if (address == NULL && self->target != NULL) {
        address = self->target->info->address;
    }
    if (address == NULL && strchr(self->wanted, ':') != NULL) {
        address = self->wanted;
    }
    PdBluezDevice *device =
        address != NULL
            ? pd_bluez_client_get_device(self->manager->bluez, get_adapter(self), address)
            : NULL;
    return device != NULL && pd_bluez_device_is_bonded(device) ? device : NULL;
}

static void
start_adapter(PdEnrol *self)
{
    PdBluezDevice *device = find_bonded(self);

    if (device != NULL) {
        self->device = pd_bluez_device_ref(device);
        link_device(self);
        return;
    }
    start_scan(self);
}

static bool
may_pair(void *user_data, PdBluezDevice *device)
{
    const PdEnrol *self = user_data;

    return device == self->device;
}

static void
on_agent(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    GError *error = NULL;
    PdBluezAgent *agent = pd_bluez_agent_open_finish(NULL, result, &error);

    if (is_over(self)) {
        g_clear_pointer(&agent, pd_bluez_agent_close);
        g_clear_error(&error);
        return;
    }
    if (agent == NULL) {
        fail(self, error);
        return;
    }
    self->agent = agent;
    self->adapter_us = g_get_monotonic_time();
    start_adapter(self);
}

static gboolean
on_timeout(gpointer user_data)
{
    PdEnrol *self = user_data;

    self->timeout_id = 0;
    if (self->bonded->len > 0 && self->step < STEP_SAVE) {
        finish(self); /* on one adapter at least */
        return G_SOURCE_REMOVE;
    }
    fail(self,
         g_error_new(PD_ERROR,
                     PD_ERROR_ENROLL_TIMEOUT,
                     "no pen was enrolled in time: %s",
                     self->problem != NULL
                         ? self->problem
                         : "none was heard; switch it on and put it in pairing mode"));
    return G_SOURCE_REMOVE;
}

static gboolean
on_cancelled(GCancellable *cancellable, gpointer user_data)
{
    PdEnrol *self = user_data;

    self->cancel_id = 0;
    fail(self, g_error_new(G_IO_ERROR, G_IO_ERROR_CANCELLED, "the enrolment was cancelled"));
    return G_SOURCE_REMOVE;
}

static void
watch_cancellable(PdEnrol *self, GCancellable *cancellable)
{
    if (cancellable == NULL) {
        return;
    }
    g_autoptr(GSource) source = g_cancellable_source_new(cancellable);
    g_source_set_callback(source, G_SOURCE_FUNC(on_cancelled), self, NULL);
    self->cancel_id = g_source_attach(source, g_main_context_get_thread_default());
}

void
pd_enrol_on_service_down(PdEnrol *self)
{
    fail(self, g_error_new(PD_ERROR, PD_ERROR_BLUEZ, "bluetoothd went away during the enrolment"));
}

void
pd_enrol_cancel(PdEnrol *self)
{
    fail(self, g_error_new(G_IO_ERROR, G_IO_ERROR_CANCELLED, "penteld is stopping"));
}

static GError *
check_adapters(const PdEnrol *self)
{
    if (!pd_bluez_client_is_up(self->manager->bluez)) {
        return g_error_new(PD_ERROR, PD_ERROR_NO_ADAPTER, "bluetoothd is not running");
    }
    if (self->adapters->len > 0) {
        return NULL;
    }
    if (self->adapter != NULL && self->adapter[0] != '\0') {
        return g_error_new(
            PD_ERROR, PD_ERROR_NO_ADAPTER, "no Bluetooth adapter %s that is on", self->adapter);
    }
    return g_error_new(PD_ERROR, PD_ERROR_NO_ADAPTER, "no Bluetooth adapter is there and on");
}

static void
open_window(PdEnrol *self)
{
    PdPenManager *manager = self->manager;

    self->adapters = pd_manager_list_usable_adapters(manager, self->adapter);
    GError *error = check_adapters(self);
    if (error != NULL) {
        fail(self, error);
        return;
    }
    self->target = strchr(self->wanted, ':') != NULL
                       ? pd_manager_find_by_address(manager, self->wanted)
                       : pd_manager_find(manager, self->wanted);
    if (self->target != NULL) {
        pd_pen_suspend(self->target);
    }
    pd_bluez_agent_open_async(
        manager->bluez, may_pair, self, self->calls, on_agent, enrol_ref(self));
}

/* A daemon that just started does not know bluetoothd's objects yet. */
static gboolean
on_wait_up(gpointer user_data)
{
    PdEnrol *self = user_data;
    const int64_t waited_us = g_get_monotonic_time() - self->adapter_us;

    if (!pd_bluez_client_is_up(self->manager->bluez) && waited_us < UP_US) {
        return G_SOURCE_CONTINUE;
    }
    self->timer_id = 0;
    open_window(self);
    return G_SOURCE_REMOVE;
}

static PdEnrol *
enrol_new(PdPenManager *manager, const char *pen, const char *adapter)
{
    PdEnrol *self = g_new0(PdEnrol, 1);

    self->n_refs = 1;
    self->manager = manager;
    self->wanted = g_strdup(pen);
    self->adapter = g_strdup(adapter);
    self->bonded = g_ptr_array_new_with_free_func(g_free);
    self->refused = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->calls = g_cancellable_new();
    self->life = g_object_ref(manager->life);
    self->adapter_us = g_get_monotonic_time();
    return self;
}

void
pd_pen_manager_enroll_async(PdPenManager *self,
                            const char *pen,
                            const char *adapter,
                            uint32_t timeout_s,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, callback, user_data);

    g_task_set_source_tag(task, pd_pen_manager_enroll_async);
    if (self->enrol != NULL) {
        g_task_return_new_error(task, PD_ERROR, PD_ERROR_BUSY, "another pen is being enrolled");
        return;
    }
    PdEnrol *enrol = enrol_new(self, pen, adapter);
    enrol->task = g_steal_pointer(&task);
    self->enrol = enrol;
    const uint32_t window_s = timeout_s > 0 ? MIN(timeout_s, TIMEOUT_MAX_S) : TIMEOUT_DEFAULT_S;
    enrol->timeout_id = g_timeout_add_seconds(window_s, on_timeout, enrol);
    watch_cancellable(enrol, cancellable);
    /* Never from in here: the caller's completion must not come before this returns. */
    set_timer(enrol, pd_bluez_client_is_up(self->bluez) ? 0 : POLL_MS / 2, on_wait_up);
}

char *
pd_pen_manager_enroll_finish(PdPenManager *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
