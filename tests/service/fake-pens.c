/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Stands in for daemon/pen, so that the service can be tried without a bluetoothd.
 */
#include "fake-pens.h"

#include "util/error.h"

#define LOG_ID 0x1122334455667788u

struct PdPenManager {
    GHashTable *pens; /* owned; serial to state */
    PdPenListener listener;
    void *user_data;
    bool is_watched;
    bool is_quiet;
    GTask *enrolling; /* owned */
    gulong cancel_id;
};

PdPenManager *
fake_pens_new(const PdPenListener *listener, void *user_data)
{
    PdPenManager *self = g_new0(PdPenManager, 1);

    self->pens = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    self->listener = *listener;
    self->user_data = user_data;
    return self;
}

void
pd_pen_manager_free(PdPenManager *self)
{
    g_hash_table_unref(self->pens);
    g_clear_object(&self->enrolling);
    g_free(self);
}

void
fake_pens_set(PdPenManager *self, const char *serial, const char *state)
{
    const bool known = g_hash_table_contains(self->pens, serial);
    union {
        const char *text;
        gpointer value;
    } stored = { .text = state };

    g_hash_table_replace(self->pens, g_strdup(serial), stored.value);
    if (self->is_quiet) {
        return;
    }
    if (known) {
        self->listener.pen_changed(self->user_data, serial);
    } else {
        self->listener.pen_added(self->user_data, serial);
    }
}

void
fake_pens_remove(PdPenManager *self, const char *serial)
{
    g_hash_table_remove(self->pens, serial);
    self->listener.pen_removed(self->user_data, serial);
}

void
fake_pens_send(PdPenManager *self, const char *serial, uint32_t number, uint32_t n_samples)
{
    const PenRecordHeader header = { .number = number, .session = 1, .tick = number * 100000u };
    PenBody body = { .kind = PEN_BODY_SAMPLES,
                     .samples = { .interval_ticks = 1000,
                                  .n = n_samples,
                                  .n_runs = 1,
                                  .run_ticks = { n_samples * 1000u } } };

    self->listener.record(self->user_data, serial, LOG_ID, &header, &body, 0);
}

void
fake_pens_link(PdPenManager *self, const char *serial, bool up)
{
    self->listener.link(self->user_data, serial, up);
}

void
fake_pens_set_quiet(PdPenManager *self)
{
    self->is_quiet = true;
}

bool
fake_pens_is_watched(const PdPenManager *self)
{
    return self->is_watched;
}

bool
fake_pens_is_enrolling(const PdPenManager *self)
{
    return self->enrolling != NULL;
}

GPtrArray *
pd_pen_manager_list(PdPenManager *self)
{
    GPtrArray *serials = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer serial = NULL;

    g_hash_table_iter_init(&iter, self->pens);
    while (g_hash_table_iter_next(&iter, &serial, NULL)) {
        g_ptr_array_add(serials, g_strdup(serial));
    }
    return serials;
}

bool
pd_pen_manager_get(PdPenManager *self, const char *serial, PdPenStatus *status_out)
{
    gpointer key = NULL;
    gpointer state = NULL;

    if (!g_hash_table_lookup_extended(self->pens, serial, &key, &state)) {
        return false;
    }
    *status_out = (PdPenStatus){ .serial = key,
                                 .address = "AA:BB:CC:DD:EE:FF",
                                 .state = state,
                                 .reason = "as the test says",
                                 .battery_pct = 255,
                                 .n_malformed = 3 };
    return true;
}

static void
on_cancelled(GCancellable *cancellable, gpointer user_data)
{
    PdPenManager *self = user_data;
    g_autoptr(GTask) task = g_steal_pointer(&self->enrolling);

    g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
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
    self->enrolling = g_task_new(NULL, NULL, callback, user_data);
    self->cancel_id = g_signal_connect(cancellable, "cancelled", G_CALLBACK(on_cancelled), self);
}

void
fake_pens_enrol(PdPenManager *self, const char *serial)
{
    g_autoptr(GTask) task = g_steal_pointer(&self->enrolling);

    fake_pens_set(self, serial, "absent");
    g_task_return_pointer(task, g_strdup(serial), g_free);
}

char *
pd_pen_manager_enroll_finish(PdPenManager *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
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

    if (!g_hash_table_contains(self->pens, serial)) {
        g_task_return_new_error(task, PD_ERROR, PD_ERROR_NOT_FOUND, "no pen %s", serial);
        return;
    }
    if (!force) {
        g_task_return_new_error(task, PD_ERROR, PD_ERROR_UNREAD_RECORDS, "it holds 5 records");
        return;
    }
    fake_pens_remove(self, serial);
    g_task_return_boolean(task, TRUE);
}

bool
pd_pen_manager_forget_finish(PdPenManager *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error) != FALSE;
}

static void
free_adapter(gpointer data)
{
    PdAdapterStatus *adapter = data;

    g_free(adapter->address);
    g_free(adapter->name);
    g_free(adapter);
}

GPtrArray *
pd_pen_manager_list_adapters(PdPenManager *self)
{
    GPtrArray *adapters = g_ptr_array_new_with_free_func(free_adapter);
    PdAdapterStatus *adapter = g_new0(PdAdapterStatus, 1);

    adapter->address = g_strdup("00:AA:01:00:00:00");
    adapter->name = g_strdup("hci0");
    g_ptr_array_add(adapters, adapter);
    return adapters;
}

bool
pd_pen_manager_has_bluez(PdPenManager *self)
{
    return true;
}

uint64_t
pd_pen_manager_get_frames_lost(PdPenManager *self)
{
    return 4;
}

void
pd_pen_manager_set_watched(PdPenManager *self, bool watched)
{
    self->is_watched = watched;
}
