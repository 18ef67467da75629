/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The enrolment window: the only time at which anything is discovered, paired or read
 * from a device without a bond (F10). It takes one adapter after another (F6), and
 * gives back at every exit what it held.
 */
#include "pen/enrol.h"

#include <string.h>

#define TIMEOUT_DEFAULT_S 60u
#define TIMEOUT_MAX_S     300u
#define RETRY_MS          500 /* after a refused pairing or a failed link */
#define POLL_MS           100
#define LATE_S            5       /* for a guess under way, so that no bond of it remains */
#define UP_US             2000000 /* for bluetoothd's objects after our own start */

void
pd_enrol_unref(PdEnrol *self)
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
    g_tree_unref(self->heard);
    g_free(self->wanted);
    g_free(self->adapter);
    g_free(self->address);
    g_free(self->name);
    g_free(self->scanning);
    g_free(self->problem);
    g_free(self);
}

PdEnrol *
pd_enrol_ref(PdEnrol *self)
{
    self->n_refs++;
    return self;
}

bool
pd_enrol_is_over(const PdEnrol *self)
{
    return self->step == PD_ENROL_OVER;
}

const char *
pd_enrol_get_adapter(const PdEnrol *self)
{
    return g_ptr_array_index(self->adapters, self->adapter_at);
}

void
pd_enrol_set_problem(PdEnrol *self, const char *problem)
{
    g_free(self->problem);
    self->problem = g_strdup(problem);
}

void
pd_enrol_release_all(PdEnrol *self)
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
        pd_enrol_release_all(self);
    }
}

void
pd_enrol_on_ignored_disconnect(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdBluezDevice) device = user_data;

    (void)pd_bluez_device_disconnect_finish(device, result, NULL);
}

void
pd_enrol_let_device_go(PdEnrol *self)
{
    if (self->device != NULL && self->is_linked && pd_bluez_device_is_connected(self->device)) {
        pd_bluez_device_disconnect_async(
            self->device, NULL, pd_enrol_on_ignored_disconnect, pd_bluez_device_ref(self->device));
    }
    self->is_linked = false;
    g_clear_pointer(&self->device, pd_bluez_device_unref);
}

/* Everything that a window holds is given back at every exit (P14). */
static GTask *
close_window(PdEnrol *self)
{
    self->step = PD_ENROL_OVER;
    self->manager->enrol = NULL;
    g_cancellable_cancel(self->calls);
    g_clear_handle_id(&self->timeout_id, g_source_remove);
    g_clear_handle_id(&self->timer_id, g_source_remove);
    g_clear_handle_id(&self->cancel_id, g_source_remove);
    g_clear_pointer(&self->agent, pd_bluez_agent_close);
    if (self->scanning != NULL) {
        pd_bluez_discovery_stop_async(
            self->manager->bluez, self->scanning, NULL, on_ignored_stop, pd_enrol_ref(self));
    } else {
        pd_enrol_release_all(self);
    }
    return g_steal_pointer(&self->task);
}

/* Owns: takes @error. */
void
pd_enrol_fail(PdEnrol *self, GError *error)
{
    if (pd_enrol_is_over(self)) {
        g_error_free(error);
        return;
    }
    PdPen *target = self->target;
    g_message("enrolment: %s", error->message);
    pd_enrol_let_device_go(self);
    g_autoptr(GTask) task = close_window(self);
    if (target != NULL) {
        pd_pen_resume(target, false);
    }
    g_task_return_error(task, error);
    pd_enrol_unref(self);
}

void
pd_enrol_set_timer(PdEnrol *self, uint32_t delay_ms, GSourceFunc callback)
{
    g_clear_handle_id(&self->timer_id, g_source_remove);
    self->timer_id = g_timeout_add(delay_ms, callback, self);
}

static void start_adapter(PdEnrol *self);

static gboolean
on_retry(gpointer user_data)
{
    PdEnrol *self = user_data;

    self->timer_id = 0;
    start_adapter(self);
    return G_SOURCE_REMOVE;
}

bool
pd_enrol_is_search(const PdEnrol *self)
{
    return self->wanted[0] != '\0' && strchr(self->wanted, ':') == NULL && self->target == NULL &&
           self->bonded->len == 0;
}

void
pd_enrol_retry(PdEnrol *self, const char *problem)
{
    if (problem != NULL) {
        g_debug("enrolment: %s", problem);
        pd_enrol_set_problem(self, problem);
    }
    if (problem != NULL && self->device != NULL) {
        pd_enrol_note(self, self->device, problem);
    }
    pd_enrol_let_device_go(self);
    self->step = PD_ENROL_OPEN;
    pd_enrol_set_timer(self, RETRY_MS, on_retry);
}

static void
on_saved(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdEnrol) self = user_data;
    GError *error = NULL;
    PdPenManager *manager = self->manager;

    if (pd_enrol_is_over(self)) {
        return;
    }
    if (!pd_store_save_pen_finish(manager->store, result, &error)) {
        pd_enrol_fail(self, error);
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
    pd_enrol_unref(self);
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
    if (self->name != NULL) {
        g_free(info->name);
        info->name = g_strdup(self->name);
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

    self->step = PD_ENROL_SAVE;
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
    pd_store_save_pen_async(manager->store, pen->info, NULL, on_saved, pd_enrol_ref(self));
}

void
pd_enrol_next_adapter(PdEnrol *self)
{
    self->adapter_at++;
    self->n_refused = 0;
    self->adapter_us = g_get_monotonic_time();
    if (self->adapter_at >= self->adapters->len) {
        finish(self);
        return;
    }
    /* The pen has one link: the next adapter wants it. */
    pd_enrol_let_device_go(self);
    self->step = PD_ENROL_OPEN;
    pd_enrol_set_timer(self, RETRY_MS, on_retry);
}

void
pd_enrol_skip_adapter(PdEnrol *self, const char *why)
{
    g_message("enrolment: %s has no bond on adapter %s: %s",
              self->feature.serial,
              pd_enrol_get_adapter(self),
              why);
    pd_enrol_let_device_go(self); /* its link would keep the bonded adapter out */
    pd_enrol_next_adapter(self);
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
            ? pd_bluez_client_get_device(self->manager->bluez, pd_enrol_get_adapter(self), address)
            : NULL;
    return device != NULL && pd_bluez_device_is_bonded(device) ? device : NULL;
}

static void
start_adapter(PdEnrol *self)
{
    PdBluezDevice *device = find_bonded(self);

    if (device != NULL) {
        self->device = pd_bluez_device_ref(device);
        pd_enrol_link_device(self);
        return;
    }
    pd_enrol_start_scan(self);
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

    if (pd_enrol_is_over(self)) {
        g_clear_pointer(&agent, pd_bluez_agent_close);
        g_clear_error(&error);
        return;
    }
    if (agent == NULL) {
        pd_enrol_fail(self, error);
        return;
    }
    self->agent = agent;
    self->adapter_us = g_get_monotonic_time();
    start_adapter(self);
}

/* A bond is being made, or taken back, only to learn who a pen is. */
static bool
is_guessing(const PdEnrol *self)
{
    return self->is_guess && self->device != NULL && self->step >= PD_ENROL_LINK &&
           self->step <= PD_ENROL_REMOVE;
}

static gboolean
on_timeout(gpointer user_data)
{
    PdEnrol *self = user_data;

    self->timeout_id = 0;
    if (is_guessing(self) && !self->is_late) {
        self->is_late = true;
        self->timeout_id = g_timeout_add_seconds(LATE_S, on_timeout, self);
        return G_SOURCE_REMOVE;
    }
    if (self->bonded->len > 0 && self->step < PD_ENROL_SAVE) {
        finish(self); /* on one adapter at least */
        return G_SOURCE_REMOVE;
    }
    g_autofree char *outcome = pd_enrol_dup_outcome(self);
    pd_enrol_fail(
        self,
        g_error_new(PD_ERROR, PD_ERROR_ENROLL_TIMEOUT, "no pen was enrolled in time: %s", outcome));
    return G_SOURCE_REMOVE;
}

static gboolean
on_cancelled(GCancellable *cancellable, gpointer user_data)
{
    PdEnrol *self = user_data;

    self->cancel_id = 0;
    pd_enrol_fail(self,
                  g_error_new(G_IO_ERROR, G_IO_ERROR_CANCELLED, "the enrolment was cancelled"));
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
    const char *why = self->n_rungs > 0 && self->problem != NULL
                          ? self->problem
                          : "bluetoothd went away during the enrolment";

    pd_enrol_fail(self, g_error_new_literal(PD_ERROR, PD_ERROR_BLUEZ, why));
}

void
pd_enrol_cancel(PdEnrol *self, const char *why)
{
    pd_enrol_fail(self, g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, why));
}

static GError *
check_adapters(const PdEnrol *self)
{
    if (!pd_bluez_client_is_up(self->manager->bluez)) {
        return g_error_new(PD_ERROR, PD_ERROR_NO_BLUEZ, "bluetoothd is not running");
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
        pd_enrol_fail(self, error);
        return;
    }
    self->target = strchr(self->wanted, ':') != NULL
                       ? pd_manager_find_by_address(manager, self->wanted)
                       : pd_manager_find(manager, self->wanted);
    if (self->target != NULL) {
        pd_pen_suspend(self->target);
    }
    pd_bluez_agent_open_async(
        manager->bluez, may_pair, self, self->calls, on_agent, pd_enrol_ref(self));
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
    self->heard = pd_enrol_heard_new();
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
    if (self->is_asleep) {
        g_task_return_new_error(task, PD_ERROR, PD_ERROR_BUSY, "the machine is going to sleep");
        return;
    }
    PdEnrol *enrol = enrol_new(self, pen, adapter);
    enrol->task = g_steal_pointer(&task);
    self->enrol = enrol;
    const uint32_t window_s = timeout_s > 0 ? MIN(timeout_s, TIMEOUT_MAX_S) : TIMEOUT_DEFAULT_S;
    enrol->timeout_id = g_timeout_add_seconds(window_s, on_timeout, enrol);
    watch_cancellable(enrol, cancellable);
    /* Never from in here: the caller's completion must not come before this returns. */
    pd_enrol_set_timer(enrol, pd_bluez_client_is_up(self->bluez) ? 0 : POLL_MS / 2, on_wait_up);
}

char *
pd_pen_manager_enroll_finish(PdPenManager *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
