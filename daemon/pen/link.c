/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * One link from its first read to its end: who the pen is, the two notify sockets and
 * the control point, then the stream. Nothing here is asked of a device that is not
 * bonded (F10), and AcquireNotify only after an encrypted read went well (F1).
 */
#include "bluez/error.h"
#include "pen/pen.h"

#include <string.h>
#include <unistd.h>

#define TICK_S        600 /* an anchor and a mark every 10 min (F5) */
#define SAVE_EVERY_US (INT64_C(600) * 1000000)

const PdBluezCharId pd_pen_chars[PD_N_CHARS] = {
    [PD_CHAR_FEATURE] = { PD_PEN_SERVICE_UUID, "52797f01-bc08-4935-9e95-12fdb4ca7483" },
    [PD_CHAR_LIVE] = { PD_PEN_SERVICE_UUID, "52797f02-bc08-4935-9e95-12fdb4ca7483" },
    [PD_CHAR_STORED] = { PD_PEN_SERVICE_UUID, "52797f03-bc08-4935-9e95-12fdb4ca7483" },
    [PD_CHAR_RACP] = { PD_PEN_SERVICE_UUID, "00002a52-0000-1000-8000-00805f9b34fb" },
    [PD_CHAR_CLOCK] = { PD_PEN_SERVICE_UUID, "00002bf2-0000-1000-8000-00805f9b34fb" },
};

void
pd_link_init(PdPen *pen)
{
    const bool is_ours = pen->link.is_ours;

    pd_racp_clear(&pen->link.racp);
    pen->link = (PdLinkData){ .is_ours = is_ours, .up_us = g_get_monotonic_time() };
    pd_racp_init(&pen->link.racp);
}

static void
tell_link(PdPen *pen, bool up)
{
    PdPenManager *manager = pen->manager;

    if (pen->link.is_told == up) {
        return;
    }
    pen->link.is_told = up;
    pen->info->last_seen_us = g_get_real_time();
    pd_store_set_linked(manager->store, pen->info->log_id, up);
    if (g_get_monotonic_time() - pen->saved_us > SAVE_EVERY_US) {
        pd_pen_save(pen); /* last_seen; no more often, for the card's sake (F15) */
    }
    if (manager->listener.link != NULL) {
        manager->listener.link(manager->user_data, pen->info->serial, up);
    }
}

void
pd_link_end(PdPen *pen)
{
    pen->attempt++;
    tell_link(pen, false);
    g_clear_handle_id(&pen->link.tick_timer, g_source_remove);
    if (pen->link.epoch != 0) {
        pen->n_malformed_before = pd_pen_get_n_malformed_on_air(pen);
        pd_reader_close_link(pen->manager->reader, pen->link.epoch);
    }
    pd_racp_clear(&pen->link.racp);
    pen->link = (PdLinkData){ 0 };
}

/* Which event an error of a step stands for. */
static PenLinkEvent
judge_step_error(const PdPen *pen, const GError *error)
{
    if (!pd_bluez_device_is_connected(pen->device)) {
        return PEN_LINK_EV_DOWN;
    }
    if (g_error_matches(error, PD_ERROR, PD_ERROR_BLUEZ_AUTH)) {
        return PEN_LINK_EV_AUTH;
    }
    return PEN_LINK_EV_FAILED;
}

static void
refuse(PdPen *pen, const PenFeature *feature, PenStatus status)
{
    g_autofree char *owner =
        pd_manager_dup_log_owner(pen->manager, feature->log_id, pen->info->serial);
    char *why = NULL;

    if (status == PEN_STATUS_VERSION) {
        why = g_strdup_printf("the pen speaks version %u of the profile, this version knows %u",
                              feature->major,
                              (unsigned)PEN_PROFILE_MAJOR);
    } else if (owner != NULL && strcmp(feature->serial, pen->info->serial) == 0) {
        why = g_strdup_printf(
            "the pen at %s claims the log of the pen %s", pen->info->address, owner);
    } else {
        why = g_strdup_printf("the pen at %s says that its serial is %s, not %s",
                              pen->info->address,
                              feature->serial,
                              pen->info->serial);
    }
    g_warning("%s: %s", pen->info->serial, why);
    pd_pen_feed_because(pen, PEN_LINK_EV_REFUSE, why);
}

static bool
is_same_pen(const PdPen *pen, const PenFeature *feature)
{
    g_autofree char *owner =
        pd_manager_dup_log_owner(pen->manager, feature->log_id, feature->serial);

    return strcmp(feature->serial, pen->info->serial) == 0 && owner == NULL;
}

/* True when the Feature was taken over; else the pen was told off already. */
static bool
take_feature(PdPen *pen, GBytes *value)
{
    gsize n_bytes = 0;
    const uint8_t *bytes = g_bytes_get_data(value, &n_bytes);
    PenFeature feature = { 0 };
    const PenStatus status = pen_feature_decode(bytes, n_bytes, &feature);

    if (status == PEN_STATUS_VERSION || (status == PEN_STATUS_OK && !is_same_pen(pen, &feature))) {
        refuse(pen, &feature, status);
        return false;
    }
    if (status != PEN_STATUS_OK || feature.log_id == 0) {
        pen->n_malformed_before++;
        pd_pen_feed_because(pen,
                            PEN_LINK_EV_FAILED,
                            g_strdup_printf("the pen's Feature cannot be read (%s)",
                                            pen_status_name(status)));
        return false;
    }
    if (pen->link.epoch != 0 && feature.log_id != pen->info->log_id) {
        pd_pen_feed_because(
            pen, PEN_LINK_EV_FAILED, g_strdup("the pen began a new log; linking again"));
        return false;
    }
    pen->link.feature = feature;
    pd_log_accept_feature(pen, &feature);
    return true;
}

static void
on_feature(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPenCall) call = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) value = pd_bluez_char_read_finish(call->pen->device, result, &error);
    PdPen *pen = pd_pen_call_get(call);

    if (pen == NULL) {
        return;
    }
    if (value == NULL) {
        g_debug("%s: %s", pen->info->serial, error->message);
        pd_pen_feed(pen, judge_step_error(pen, error));
        return;
    }
    if (take_feature(pen, value)) {
        pd_pen_feed(pen, PEN_LINK_EV_DONE);
    }
}

void
pd_link_read_feature(PdPen *pen)
{
    pd_bluez_char_read_async(
        pen->device, &pd_pen_chars[PD_CHAR_FEATURE], NULL, on_feature, pd_pen_call_new(pen));
}

static void
on_feature_again(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPenCall) call = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) value = pd_bluez_char_read_finish(call->pen->device, result, &error);
    PdPen *pen = pd_pen_call_get(call);

    if (pen == NULL) {
        return;
    }
    pen->link.has_feature_call = false;
    if (value == NULL) {
        /* What it would have said, a head item or the next link says too. */
        g_debug("%s: %s", pen->info->serial, error->message);
        return;
    }
    if (take_feature(pen, value)) {
        pd_racp_pump(pen);
        pd_pen_tell_changed(pen);
    }
}

void
pd_link_refresh_feature(PdPen *pen)
{
    if (pen->link.has_feature_call) {
        return;
    }
    pen->link.has_feature_call = true;
    pd_bluez_char_read_async(
        pen->device, &pd_pen_chars[PD_CHAR_FEATURE], NULL, on_feature_again, pd_pen_call_new(pen));
}

static void
fail_subscription(PdPen *pen, const GError *error)
{
    g_message("%s: %s", pen->info->serial, error->message);
    if (g_error_matches(error, PD_ERROR, PD_ERROR_BLUEZ_STUCK)) {
        pd_pen_feed(pen, PEN_LINK_EV_STUCK);
    } else if (pen->link.is_down) {
        pd_pen_feed(pen, PEN_LINK_EV_DOWN);
    } else if (g_error_matches(error, PD_ERROR, PD_ERROR_BLUEZ_IN_USE)) {
        pd_pen_feed(pen, PEN_LINK_EV_IN_USE);
    } else {
        pd_pen_feed(pen, judge_step_error(pen, error));
    }
}

static void
on_racp_subscribed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPenCall) call = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_char_start_notify_finish(call->pen->device, result, &error);
    PdPen *pen = pd_pen_call_get(call);

    if (pen == NULL) {
        return;
    }
    if (!done) {
        fail_subscription(pen, error);
        return;
    }
    pd_pen_feed(pen, PEN_LINK_EV_DONE);
}

static void subscribe_stream(PdPen *pen, PdStream stream);

/* The next of Live, Stored, RACP. */
static void
subscribe_after(PdPen *pen, PdStream stream)
{
    if (stream == PD_STREAM_LIVE) {
        subscribe_stream(pen, PD_STREAM_STORED);
        return;
    }
    pd_bluez_char_start_notify_async(
        pen->device, &pd_pen_chars[PD_CHAR_RACP], NULL, on_racp_subscribed, pd_pen_call_new(pen));
}

static PdChar
char_of(PdStream stream)
{
    return stream == PD_STREAM_LIVE ? PD_CHAR_LIVE : PD_CHAR_STORED;
}

typedef struct {
    PdPenCall *call; /* owned */
    PdStream stream;
} SubscribeCall;

static SubscribeCall *
subscribe_call_new(PdPen *pen, PdStream stream)
{
    SubscribeCall *call = g_new0(SubscribeCall, 1);

    call->call = pd_pen_call_new(pen);
    call->stream = stream;
    return call;
}

static void
subscribe_call_free(SubscribeCall *call)
{
    pd_pen_call_free(call->call);
    g_free(call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SubscribeCall, subscribe_call_free)

static void
on_signals_started(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(SubscribeCall) call = user_data;
    g_autoptr(GError) error = NULL;
    const bool done = pd_bluez_char_start_notify_finish(call->call->pen->device, result, &error);
    PdPen *pen = pd_pen_call_get(call->call);

    if (pen == NULL) {
        return;
    }
    if (!done) {
        fail_subscription(pen, error);
        return;
    }
    subscribe_after(pen, call->stream);
}

/* The opted-in fallback: any local process sees these values (P7, F26). */
static void
subscribe_by_signal(PdPen *pen, PdStream stream)
{
    g_message("%s: falling back to StartNotify", pen->info->serial);
    pen->link.by_signal[stream] = true;
    pd_bluez_char_start_notify_async(pen->device,
                                     &pd_pen_chars[char_of(stream)],
                                     NULL,
                                     on_signals_started,
                                     subscribe_call_new(pen, stream));
}

static bool
may_fall_back(const PdPen *pen, const GError *error)
{
    return pen->manager->config.notify_by_signal && !pen->link.is_down &&
           pd_bluez_device_is_connected(pen->device) &&
           !g_error_matches(error, PD_ERROR, PD_ERROR_BLUEZ_STUCK) &&
           !g_error_matches(error, PD_ERROR, PD_ERROR_BLUEZ_AUTH);
}

static void
on_acquired(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(SubscribeCall) call = user_data;
    g_autoptr(GError) error = NULL;
    uint16_t mtu = 0;
    const int fd =
        pd_bluez_char_acquire_notify_finish(call->call->pen->device, result, &mtu, &error);
    PdPen *pen = pd_pen_call_get(call->call);

    if (pen == NULL) {
        if (fd >= 0) {
            close(fd); /* of an earlier link (P6) */
        }
        return;
    }
    pen->link.has_acquire = false;
    if (fd < 0 && may_fall_back(pen, error)) {
        subscribe_by_signal(pen, call->stream);
        return;
    }
    if (fd < 0) {
        fail_subscription(pen, error);
        return;
    }
    g_debug("%s: stream %u at MTU %u", pen->info->serial, (unsigned)call->stream, mtu);
    pd_reader_add_fd(pen->manager->reader, pen->link.epoch, call->stream, fd);
    if (pen->link.is_down) {
        pd_pen_feed(pen, PEN_LINK_EV_DOWN);
        return;
    }
    subscribe_after(pen, call->stream);
}

static void
subscribe_stream(PdPen *pen, PdStream stream)
{
    pen->link.has_acquire = true;
    pd_bluez_char_acquire_notify_async(pen->device,
                                       &pd_pen_chars[char_of(stream)],
                                       NULL,
                                       on_acquired,
                                       subscribe_call_new(pen, stream));
}

void
pd_link_subscribe(PdPen *pen)
{
    pen->link.epoch = pd_reader_open_link(pen->manager->reader, pen->progress);
    subscribe_stream(pen, PD_STREAM_LIVE);
}

static gboolean
on_tick(gpointer user_data)
{
    PdPen *pen = user_data;

    pd_clock_read(pen);
    pd_link_refresh_feature(pen); /* and pump with what it says */
    return G_SOURCE_CONTINUE;
}

void
pd_link_stream(PdPen *pen)
{
    pen->link.tick_timer = g_timeout_add_seconds(TICK_S, on_tick, pen);
    if (!pd_pen_is_in_session(pen)) {
        pen->mark_goal = pen->durable;
    }
    tell_link(pen, true);
    g_message("%s: linked on %s, newest %u, %" G_GUINT64_FORMAT " missing",
              pen->info->serial,
              pd_bluez_device_get_adapter(pen->device),
              pen->link.feature.newest,
              pd_progress_count_missing(
                  pen->progress, MAX(pen->link.feature.oldest, 1u), pen->link.feature.newest));
    pd_link_refresh_feature(pen);
    pd_racp_pump(pen);
}
