/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Puts the objects of org.pentel on the bus and takes them off, and passes on what pens
 * and store have to tell. What a method does is in the *_methods.c files.
 */
#include "service/service.h"

#include "service/follow.h"
#include "service/service_internal.h"
#include "util/log.h"

#include <string.h>

static void
show_pen(PdService *self, const char *serial)
{
    PdPenStatus status;

    if (self->pen_objects != NULL && pd_pen_manager_get(self->pens, serial, &status)) {
        pd_service_pen_objects_update(self->pen_objects, &status);
    }
}

static void
tell_pens_changed(PdService *self)
{
    if (self->pen_objects != NULL && self->config.pens_changed != NULL) {
        self->config.pens_changed(self->config.user_data);
    }
}

static void
on_pen_changed(void *user_data, const char *serial)
{
    show_pen(user_data, serial);
    tell_pens_changed(user_data);
}

static void
on_pen_removed(void *user_data, const char *serial)
{
    PdService *self = user_data;

    if (self->pen_objects != NULL) {
        pd_service_pen_objects_remove(self->pen_objects, serial);
    }
    tell_pens_changed(self);
}

const PdPenListener *
pd_service_get_pen_listener(void)
{
    static const PdPenListener listener = {
        .pen_added = on_pen_changed,
        .pen_changed = on_pen_changed,
        .pen_removed = on_pen_removed,
        .record = pd_service_follow_on_record,
        .link = pd_service_follow_on_link,
    };

    return &listener;
}

void
pd_service_on_journal(PdService *self, uint64_t head)
{
    pd_dbus_log1_set_head(self->log, head);
}

void
pd_service_on_store_state(PdService *self, PdStoreState state)
{
    if (state != PD_STORE_OK) {
        pd_log_event(G_LOG_DOMAIN,
                     &(PdLogEvent){ .message_id = PD_LOG_STORE_STATE },
                     "the store is not well; see: pentelctl doctor");
    }
}

static bool
is_linked(const char *state)
{
    static const char *const states[] = { "connected", "backfill", "live", NULL };

    return state != NULL && g_strv_contains(states, state);
}

void
pd_service_count_pens(PdService *self, uint32_t *n_pens_out, uint32_t *n_linked_out)
{
    g_autoptr(GPtrArray) serials = pd_pen_manager_list(self->pens);

    *n_pens_out = serials->len;
    *n_linked_out = 0;
    for (guint i = 0; i < serials->len; i++) {
        PdPenStatus status;
        if (pd_pen_manager_get(self->pens, serials->pdata[i], &status) && is_linked(status.state)) {
            (*n_linked_out)++;
        }
    }
}

PdService *
pd_service_new(GDBusConnection *bus, PdStore *store, const PdServiceConfig *config)
{
    PdService *self = g_new0(PdService, 1);

    self->n_refs = 1;
    self->bus = g_object_ref(bus);
    self->store = store;
    self->config = *config;
    self->cancellable = g_cancellable_new();
    self->authority = pd_service_authority_new(bus, &config->authority);
    self->streams = pd_service_streams_new(&config->streams);
    self->loop_watch = pd_service_loop_watch_new(NULL);
    self->followers = g_ptr_array_new();
    self->server = g_dbus_object_manager_server_new(PD_SERVICE_ROOT);
    self->manager = pd_dbus_manager1_skeleton_new();
    self->log = pd_dbus_log1_skeleton_new();
    pd_service_manager_connect(self);
    pd_service_log_connect(self);
    pd_service_stream_methods_connect(self);
    pd_service_care_connect(self);
    return self;
}

void
pd_service_start(PdService *self, PdPenManager *pens, PdTimeSync *time_sync)
{
    g_autoptr(GDBusObjectSkeleton) object = g_dbus_object_skeleton_new(PD_SERVICE_MANAGER_PATH);
    PdStoreHealth health = { 0 };

    self->pens = pens;
    self->time_sync = time_sync;
    pd_store_get_health(self->store, &health);
    pd_dbus_log1_set_store_id(self->log, pd_store_get_id(self->store));
    pd_dbus_log1_set_head(self->log, health.head);
    pd_store_health_clear(&health);
    g_dbus_object_skeleton_add_interface(object, G_DBUS_INTERFACE_SKELETON(self->manager));
    g_dbus_object_skeleton_add_interface(object, G_DBUS_INTERFACE_SKELETON(self->log));
    g_dbus_object_manager_server_export(self->server, object);
    self->pen_objects = pd_service_pen_objects_new(self->server);
    g_autoptr(GPtrArray) serials = pd_pen_manager_list(pens);
    for (guint i = 0; i < serials->len; i++) {
        show_pen(self, serials->pdata[i]);
    }
    g_dbus_object_manager_server_set_connection(self->server, self->bus);
}

void
pd_service_unref(PdService *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    g_ptr_array_unref(self->followers);
    g_object_unref(self->cancellable);
    g_object_unref(self->bus);
    g_free(self);
}

void
pd_service_free(PdService *self)
{
    if (self == NULL) {
        return;
    }
    self->is_closed = true;
    g_dbus_object_manager_server_set_connection(self->server, NULL);
    g_signal_handlers_disconnect_by_data(self->manager, self);
    g_signal_handlers_disconnect_by_data(self->log, self);
    g_cancellable_cancel(self->cancellable);
    g_clear_pointer(&self->authority, pd_service_authority_free);
    g_clear_pointer(&self->streams, pd_service_streams_free);
    g_clear_pointer(&self->loop_watch, pd_service_loop_watch_free);
    g_clear_pointer(&self->pen_objects, pd_service_pen_objects_free);
    g_clear_object(&self->server);
    g_clear_object(&self->manager);
    g_clear_object(&self->log);
    pd_service_unref(self);
}
