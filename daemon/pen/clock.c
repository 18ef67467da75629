/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Compares the pen's tick with the gateway's clocks: an anchor says which tick was when
 * and how sure that is. The pen's tick is never stepped, so writing the clock only
 * serves its display and its clock_set record (profile 8.2).
 */
#include "core/wire.h"
#include "pen/pen.h"

#include <time.h>

#define READ_BYTES    11u
#define FLAG_TICK     0x01u
#define FLAG_UTC      0x02u
#define FLAG_CURRENT  0x20u
#define STATUS_UNSET  0x01u
#define AT_STATUS     9u
#define SOURCE_NTP    1u
#define RESOLUTION_US 100u /* code 3, in bits 2-3 of the flags */
#define UNIX_2000_US  INT64_C(946684800000000)
#define STEP_US       1000 /* a wall clock that moved so much against boottime was set */

typedef struct {
    int64_t boot_us; /* CLOCK_BOOTTIME: goes on in suspend (P28) */
    int64_t wall_us;
} Instant;

static int64_t
read_clock_us(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static Instant
get_instant(void)
{
    return (Instant){ .boot_us = read_clock_us(CLOCK_BOOTTIME),
                      .wall_us = read_clock_us(CLOCK_REALTIME) };
}

typedef struct {
    PdPenCall *call; /* owned */
    Instant sent;
} ClockCall;

static void
clock_call_free(ClockCall *call)
{
    pd_pen_call_free(call->call);
    g_free(call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ClockCall, clock_call_free)

/* Resolutions of the flags' bits 2-3, in microseconds (Elapsed Time Service 1.0). */
static uint64_t
get_resolution_us(uint8_t flags)
{
    static const uint64_t resolutions_us[] = { 1000000, 100000, 1000, 100 };

    return resolutions_us[flags >> 2 & 3u];
}

static void
on_written(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdPenCall) call = user_data;
    g_autoptr(GError) error = NULL;

    if (!pd_bluez_char_write_finish(NULL, result, &error)) {
        g_debug("%s: %s", call->pen->info->serial, error->message);
    }
}

/* Once per link, and only with a time that is worth having. */
static void
set_clock(PdPen *pen)
{
    const int64_t wall_us = read_clock_us(CLOCK_REALTIME);
    uint8_t value[9] = { FLAG_UTC | 3u << 2 };

    if (pen->link.was_clock_set || wall_us < UNIX_2000_US) {
        return;
    }
    pen->link.was_clock_set = true;
    pen_wire_put(value + 1, 6, (uint64_t)(wall_us - UNIX_2000_US) / RESOLUTION_US);
    value[7] = SOURCE_NTP;
    pd_bluez_char_write_async(pen->device,
                              &pd_pen_chars[PD_CHAR_CLOCK],
                              value,
                              sizeof value,
                              NULL,
                              on_written,
                              pd_pen_call_new(pen));
}

static void
add_anchor(PdPen *pen, const uint8_t *value, const Instant *sent, const Instant *got)
{
    const int64_t trip_us = got->boot_us - sent->boot_us;
    const uint64_t resolution_us = get_resolution_us(value[0]);
    const PenAnchor anchor = {
        .boot = pen->link.feature.boot,
        .tick_us = pen_wire_get(value + 1, 6) * resolution_us,
        .wall_us = got->wall_us - trip_us / 2,
        .wall_synced = pd_time_sync_is_synced(pen->manager->time_sync),
        .error_us = (uint32_t)CLAMP(trip_us / 2 + (int64_t)resolution_us, 0, UINT32_MAX),
    };

    pd_store_add_anchor(pen->manager->store, pen->info->log_id, &anchor);
    if (anchor.wall_synced && (value[AT_STATUS] & STATUS_UNSET) != 0) {
        set_clock(pen);
    }
}

/* True when an anchor was made of it. */
static bool
take_clock(PdPen *pen, GBytes *bytes, const Instant *sent, const Instant *got)
{
    gsize n_bytes = 0;
    const uint8_t *value = g_bytes_get_data(bytes, &n_bytes);
    const int64_t step_us = (got->wall_us - sent->wall_us) - (got->boot_us - sent->boot_us);

    if (n_bytes < READ_BYTES || (value[0] & FLAG_TICK) == 0 || (value[0] & FLAG_CURRENT) == 0) {
        pen->n_malformed_before++;
        return false;
    }
    if (ABS(step_us) > STEP_US) {
        return false; /* set under our hands; the time listener asks again */
    }
    add_anchor(pen, value, sent, got);
    return true;
}

static void
on_clock(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(ClockCall) call = user_data;
    g_autoptr(GError) error = NULL;
    const Instant got = get_instant();
    g_autoptr(GBytes) value = pd_bluez_char_read_finish(NULL, result, &error);
    PdPen *pen = pd_pen_call_get(call->call);

    if (pen == NULL) {
        return;
    }
    if (value == NULL) {
        g_debug("%s: %s", pen->info->serial, error->message);
    }
    const bool done = value != NULL && take_clock(pen, value, &call->sent, &got);
    if (pen->state.state == PEN_LINK_CLOCK) {
        pd_pen_feed(pen, done ? PEN_LINK_EV_DONE : PEN_LINK_EV_FAILED);
    }
}

void
pd_clock_read(PdPen *pen)
{
    ClockCall *call = g_new0(ClockCall, 1);

    pd_time_sync_refresh(pen->manager->time_sync);
    call->call = pd_pen_call_new(pen);
    call->sent = get_instant();
    pd_bluez_char_read_async(pen->device, &pd_pen_chars[PD_CHAR_CLOCK], NULL, on_clock, call);
}
