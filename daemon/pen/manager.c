/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The pens of this gateway: who they are, who gets which event of BlueZ or of the
 * reader, what callers see. Decides nothing about a link.
 */
#include "pen/manager.h"

#include "pen/pen.h"

#include <string.h>

#define MUTE_MIN 2u /* calls that bluetoothd left unanswered */

PdPen *
pd_manager_find(PdPenManager *self, const char *serial)
{
    for (guint i = 0; i < self->pens->len; i++) {
        PdPen *pen = g_ptr_array_index(self->pens, i);

        if (strcmp(pen->info->serial, serial) == 0) {
            return pen;
        }
    }
    return NULL;
}

PdPen *
pd_manager_find_by_address(PdPenManager *self, const char *address)
{
    for (guint i = 0; i < self->pens->len; i++) {
        PdPen *pen = g_ptr_array_index(self->pens, i);

        if (g_ascii_strcasecmp(pen->info->address, address) == 0) {
            return pen;
        }
    }
    return NULL;
}

char *
pd_manager_dup_log_owner(PdPenManager *self, uint64_t log_id, const char *serial)
{
    for (guint i = 0; i < self->pens->len; i++) {
        PdPen *pen = g_ptr_array_index(self->pens, i);

        if (pen->info->log_id == log_id && strcmp(pen->info->serial, serial) != 0) {
            return g_strdup(pen->info->serial);
        }
    }
    g_autofree char *stored = pd_store_dup_log_serial(self->store, log_id);
    return stored != NULL && strcmp(stored, serial) != 0 ? g_steal_pointer(&stored) : NULL;
}

static PdPen *
find_by_epoch(PdPenManager *self, uint64_t epoch)
{
    for (guint i = 0; i < self->pens->len; i++) {
        PdPen *pen = g_ptr_array_index(self->pens, i);

        if (pen->link.epoch == epoch) {
            return pen;
        }
    }
    return NULL;
}

PdPen *
pd_manager_add(PdPenManager *self, PdPenInfo *info)
{
    PdPen *pen = pd_pen_new(self, info);

    g_ptr_array_add(self->pens, pen);
    if (self->listener.pen_added != NULL) {
        self->listener.pen_added(self->user_data, info->serial);
    }
    return pen;
}

GPtrArray *
pd_manager_list_usable_adapters(PdPenManager *self, const char *adapter)
{
    g_autoptr(GPtrArray) all = pd_bluez_client_list_adapters(self->bluez);
    GPtrArray *usable = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < all->len; i++) {
        const PdBluezAdapter *found = g_ptr_array_index(all, i);
        const bool is_named = adapter == NULL || adapter[0] == '\0' ||
                              g_ascii_strcasecmp(found->address, adapter) == 0 ||
                              strcmp(found->name, adapter) == 0;

        if (found->powered && found->le_central && is_named) {
            g_ptr_array_add(usable, g_strdup(found->address));
        }
    }
    return usable;
}

static void
replan_all(PdPenManager *self)
{
    for (guint i = 0; i < self->pens->len; i++) {
        pd_pen_replan(g_ptr_array_index(self->pens, i));
    }
}

static void
on_service_up(void *user_data, uint32_t generation)
{
    g_message("bluetoothd is there (generation %u)", generation);
    replan_all(user_data);
}

static void
on_service_down(void *user_data)
{
    PdPenManager *self = user_data;

    g_message("bluetoothd left the bus");
    for (guint i = 0; i < self->pens->len; i++) {
        pd_pen_feed(g_ptr_array_index(self->pens, i), PEN_LINK_EV_RESTARTED);
    }
    if (self->enrol != NULL) {
        pd_enrol_on_service_down(self->enrol);
    }
}

/* Once may be a busy machine. */
static void
on_mute(void *user_data, uint32_t n_times)
{
    PdPenManager *self = user_data;

    for (guint i = 0; i < self->pens->len; i++) {
        pd_pen_tell_changed(g_ptr_array_index(self->pens, i));
    }
    if (n_times < MUTE_MIN) {
        pd_bluez_client_probe(self->bluez);
        return;
    }
    (void)pd_cure_service(self, "bluetoothd does not answer");
}

static void
on_adapter(void *user_data, const PdBluezAdapter *adapter)
{
    replan_all(user_data);
}

static void
on_device_added(void *user_data, PdBluezDevice *device)
{
    PdPenManager *self = user_data;
    PdPen *pen = pd_manager_find_by_address(self, pd_bluez_device_get_address(device));

    if (pen != NULL) {
        pd_pen_replan(pen);
    }
    if (self->enrol != NULL) {
        pd_enrol_on_device(self->enrol, device);
    }
}

static void
on_device_changed(void *user_data, PdBluezDevice *device, uint32_t changed)
{
    PdPenManager *self = user_data;
    PdPen *pen = pd_manager_find_by_address(self, pd_bluez_device_get_address(device));

    if (pen != NULL) {
        pd_pen_on_device_changed(pen, device, changed);
    }
    if ((changed & PD_BLUEZ_DEVICE_CHANGE_CONNECTED) != 0 &&
        !pd_bluez_device_is_connected(device)) {
        pd_slots_on_link_ended(self);
    }
    if (self->enrol != NULL) {
        pd_enrol_on_device(self->enrol, device);
    }
}

static void
on_device_removed(void *user_data, PdBluezDevice *device)
{
    PdPenManager *self = user_data;
    PdPen *pen = pd_manager_find_by_address(self, pd_bluez_device_get_address(device));

    if (pen != NULL) {
        pd_pen_replan(pen);
    }
}

static void
on_value(void *user_data,
         PdBluezDevice *device,
         const char *service_uuid,
         const char *char_uuid,
         const uint8_t *data,
         size_t n_data)
{
    PdPenManager *self = user_data;
    PdPen *pen = pd_manager_find_by_address(self, pd_bluez_device_get_address(device));

    if (pen == NULL || pen->device != device || pen->link.epoch == 0) {
        return;
    }
    if (g_ascii_strcasecmp(char_uuid, pd_pen_chars[PD_CHAR_RACP].char_uuid) == 0) {
        pd_racp_on_indication(pen, data, n_data);
    } else if (g_ascii_strcasecmp(char_uuid, pd_pen_chars[PD_CHAR_LIVE].char_uuid) == 0 &&
               pen->link.by_signal[PD_STREAM_LIVE]) {
        pd_reader_feed(self->reader, pen->link.epoch, PD_STREAM_LIVE, data, n_data);
    } else if (g_ascii_strcasecmp(char_uuid, pd_pen_chars[PD_CHAR_STORED].char_uuid) == 0 &&
               pen->link.by_signal[PD_STREAM_STORED]) {
        pd_reader_feed(self->reader, pen->link.epoch, PD_STREAM_STORED, data, n_data);
    }
}

static void
on_reader_item(void *user_data, const PdReaderItem *item)
{
    PdPen *pen = find_by_epoch(user_data, item->link);

    if (pen != NULL) {
        pd_tail_take(pen, item);
    }
}

static void
on_time_changed(void *user_data, bool synced, bool stepped)
{
    PdPenManager *self = user_data;

    for (guint i = 0; i < self->pens->len; i++) {
        PdPen *pen = g_ptr_array_index(self->pens, i);

        if (pd_pen_is_streaming(pen)) {
            pd_clock_read(pen);
        }
    }
}

static void
load_pens(PdPenManager *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) infos = pd_store_load_pens(self->store, &error);

    if (infos == NULL) {
        g_warning("cannot read the enrolled pens: %s", error->message);
        return;
    }
    g_ptr_array_set_free_func(infos, NULL);
    for (guint i = 0; i < infos->len; i++) {
        (void)pd_manager_add(self, g_ptr_array_index(infos, i));
    }
}

static void
pen_drop(gpointer data)
{
    pd_pen_detach(data);
    pd_pen_unref(data);
}

PdPenManager *
pd_pen_manager_new(GDBusConnection *bus,
                   PdStore *store,
                   PdTimeSync *time_sync,
                   const PdPenConfig *config,
                   const PdPenListener *listener,
                   void *user_data)
{
    static const PdBluezListener bluez_listener = {
        .service_up = on_service_up,
        .service_down = on_service_down,
        .adapter_added = on_adapter,
        .adapter_changed = on_adapter,
        .adapter_removed = on_adapter,
        .device_added = on_device_added,
        .device_changed = on_device_changed,
        .device_removed = on_device_removed,
        .mute = on_mute,
        .value = on_value,
    };
    PdPenManager *self = g_new0(PdPenManager, 1);

    self->bus = g_object_ref(bus);
    self->store = store;
    self->time_sync = time_sync;
    self->config = *config;
    self->listener = *listener;
    self->user_data = user_data;
    self->rand = g_rand_new();
    self->life = g_cancellable_new();
    self->pens = g_ptr_array_new_with_free_func(pen_drop);
    self->reader = pd_reader_new(
        store, config->coalesce_ms > 0 ? config->coalesce_ms : 250, on_reader_item, self);
    self->bluez = pd_bluez_client_new(bus, &bluez_listener, self);
    load_pens(self);
    pd_slots_start(self);
    pd_sleep_start(self);
    pd_time_sync_set_listener(time_sync, on_time_changed, self);
    return self;
}

void
pd_pen_manager_free(PdPenManager *self)
{
    if (self == NULL) {
        return;
    }
    pd_time_sync_set_listener(self->time_sync, NULL, NULL);
    pd_slots_stop(self);
    pd_sleep_stop(self);
    self->config.links_per_adapter = 0;
    if (self->enrol != NULL) {
        pd_enrol_cancel(self->enrol, "penteld is stopping");
    }
    g_cancellable_cancel(self->life);
    self->listener = (PdPenListener){ 0 };
    g_ptr_array_unref(self->pens);
    pd_reader_free(self->reader);
    pd_bluez_client_free(self->bluez);
    g_object_unref(self->life);
    g_rand_free(self->rand);
    g_object_unref(self->bus);
    g_free(self);
}

GPtrArray *
pd_pen_manager_list(PdPenManager *self)
{
    GPtrArray *serials = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < self->pens->len; i++) {
        const PdPen *pen = g_ptr_array_index(self->pens, i);

        g_ptr_array_add(serials, g_strdup(pen->info->serial));
    }
    return serials;
}

bool
pd_pen_manager_get(PdPenManager *self, const char *serial, PdPenStatus *status_out)
{
    PdPen *pen = pd_manager_find(self, serial);

    if (pen == NULL) {
        return false;
    }
    *status_out = (PdPenStatus){
        .serial = pen->info->serial,
        .address = pen->info->address,
        .name = pen->info->name,
        .state = pd_pen_get_state(pen),
        .reason = pd_pen_get_reason(pen),
        .battery_pct = pen->device != NULL ? pd_bluez_device_get_battery_pct(pen->device)
                                           : PD_BLUEZ_BATTERY_UNKNOWN,
        .firmware = pen->info->firmware,
        .adapter = pen->device != NULL ? pd_bluez_device_get_adapter(pen->device) : NULL,
        .last_seen_us = pd_pen_is_streaming(pen) ? g_get_real_time() : pen->info->last_seen_us,
        .overwritten = pen->info->overwritten,
        .n_malformed = pd_pen_get_n_malformed(pen),
    };
    return true;
}

void
pd_pen_manager_on_durable(PdPenManager *self, uint64_t log_id, uint32_t contiguous)
{
    for (guint i = 0; i < self->pens->len; i++) {
        PdPen *pen = g_ptr_array_index(self->pens, i);

        if (pen->progress != NULL && pd_progress_get_log_id(pen->progress) == log_id) {
            pd_mark_on_durable(pen, contiguous);
            pd_pen_tell_changed(pen); /* the store may have found bad records */
        }
    }
}

typedef struct {
    PdPenManager *manager; /* borrowed; not used when life is over */
    PdStore *store;        /* borrowed: it completes before it is closed */
    GCancellable *life;    /* owned */
    char *serial;          /* owned */
} ForgetCall;

static void
forget_call_free(gpointer data)
{
    ForgetCall *call = data;

    g_object_unref(call->life);
    g_free(call->serial);
    g_free(call);
}

static void
remove_pen(PdPenManager *self, const char *serial)
{
    PdPen *pen = pd_manager_find(self, serial);

    if (pen == NULL) {
        return;
    }
    g_ptr_array_remove(self->pens, pen);
    if (self->listener.pen_removed != NULL) {
        self->listener.pen_removed(self->user_data, serial);
    }
}

static void
on_forgotten(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    const ForgetCall *call = g_task_get_task_data(task);
    GError *error = NULL;

    if (!pd_store_forget_pen_finish(call->store, result, &error)) {
        g_task_return_error(task, error);
        return;
    }
    if (!g_cancellable_is_cancelled(call->life)) {
        remove_pen(call->manager, call->serial);
    }
    g_task_return_boolean(task, TRUE);
}

/* Records that the pen is known to hold and that are not here (F26). */
static uint64_t
count_unread(PdPenManager *self, PdPen *pen)
{
    if (pen->progress != NULL) {
        const uint32_t oldest = MAX(pen->link.feature.oldest, 1u);

        return pd_progress_count_missing(
            pen->progress, oldest, pd_progress_get_newest(pen->progress));
    }
    PenRanges settled;
    pd_store_get_settled(self->store, pen->info->log_id, &settled);
    g_autoptr(PdProgress) progress = pd_progress_new(pen->info->log_id, &settled);
    return pd_progress_count_missing(progress, 1, pd_progress_get_newest(progress));
}

void
pd_pen_manager_forget_async(PdPenManager *self,
                            const char *serial,
                            bool force,
                            uint32_t uid,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);
    ForgetCall *call = g_new0(ForgetCall, 1);
    PdPen *pen = pd_manager_find(self, serial);

    call->manager = self;
    call->store = self->store;
    call->life = g_object_ref(self->life);
    call->serial = g_strdup(serial);
    g_task_set_source_tag(task, pd_pen_manager_forget_async);
    g_task_set_task_data(task, call, forget_call_free);
    if (pen == NULL) {
        g_task_return_new_error(
            task, PD_ERROR, PD_ERROR_NOT_FOUND, "no pen %s is enrolled", serial);
        return;
    }
    const uint64_t n_unread = count_unread(self, pen);
    if (n_unread > 0 && !force) {
        g_task_return_new_error(task,
                                PD_ERROR,
                                PD_ERROR_UNREAD_RECORDS,
                                "%s holds %" G_GUINT64_FORMAT
                                " records that are not stored here; wait until they are, or "
                                "use --force",
                                serial,
                                n_unread);
        return;
    }
    if (pd_pen_is_in_session(pen) && !force) {
        g_task_return_new_error(task,
                                PD_ERROR,
                                PD_ERROR_UNREAD_RECORDS,
                                "%s is in a session, what it records from now on would not be "
                                "stored here; end the session, or use --force",
                                serial);
        return;
    }
    pd_store_forget_pen_async(self->store,
                              serial,
                              (uint32_t)MIN(n_unread, UINT32_MAX),
                              uid,
                              cancellable,
                              on_forgotten,
                              g_steal_pointer(&task));
}

bool
pd_pen_manager_forget_finish(PdPenManager *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}

static void
adapter_status_free(gpointer data)
{
    PdAdapterStatus *status = data;

    g_free(status->address);
    g_free(status->name);
    g_free(status);
}

GPtrArray *
pd_pen_manager_list_adapters(PdPenManager *self)
{
    g_autoptr(GPtrArray) adapters = pd_bluez_client_list_adapters(self->bluez);
    GPtrArray *list = g_ptr_array_new_with_free_func(adapter_status_free);

    for (guint i = 0; i < adapters->len; i++) {
        const PdBluezAdapter *adapter = g_ptr_array_index(adapters, i);
        PdAdapterStatus *status = g_new0(PdAdapterStatus, 1);

        status->address = g_strdup(adapter->address);
        status->name = g_strdup(adapter->name);
        status->powered = adapter->powered;
        g_ptr_array_add(list, status);
    }
    return list;
}

bool
pd_pen_manager_has_bluez(PdPenManager *self)
{
    return pd_bluez_client_is_up(self->bluez);
}

uint64_t
pd_pen_manager_get_frames_lost(PdPenManager *self)
{
    return pd_reader_get_n_lost(self->reader);
}

void
pd_pen_manager_set_watched(PdPenManager *self, bool watched)
{
    pd_reader_set_watched(self->reader, watched);
}

int64_t
pd_pen_manager_get_reader_age_us(PdPenManager *self)
{
    return pd_reader_get_age_us(self->reader);
}
