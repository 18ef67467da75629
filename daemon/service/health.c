/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Says how the daemon is, and what an engineer should do about it. A finding names its
 * cause and a next step; what is merely a number stays a number.
 */
#include "service/health.h"

#define DISK_LOW_BYTES (512ull << 20)
#define LOOP_SLOW_US   250000

static void
add_finding(GVariantBuilder *findings, const char *severity, const char *text, const char *advice)
{
    GVariantBuilder finding;

    g_variant_builder_init(&finding, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&finding, "{sv}", "severity", g_variant_new_string(severity));
    g_variant_builder_add(&finding, "{sv}", "text", g_variant_new_string(text));
    g_variant_builder_add(&finding, "{sv}", "advice", g_variant_new_string(advice));
    g_variant_builder_add_value(findings, g_variant_builder_end(&finding));
}

static const char *
store_state_to_string(PdStoreState state)
{
    switch (state) {
    case PD_STORE_OK:
        return "ok";
    case PD_STORE_READ_ONLY:
        return "read-only";
    case PD_STORE_FULL:
        return "full";
    case PD_STORE_DAMAGED:
        return "damaged";
    case PD_STORE_FAILING:
        return "failing";
    }
    return "failing";
}

static void
find_store(GVariantBuilder *findings, const PdStoreHealth *store)
{
    const char *why = store->error != NULL ? store->error : "no reason was given";
    g_autofree char *text =
        g_strdup_printf("store is %s: %s", store_state_to_string(store->state), why);

    switch (store->state) {
    case PD_STORE_OK:
        break;
    case PD_STORE_READ_ONLY:
        add_finding(findings, "error", text, "make the state directory writable, restart penteld");
        break;
    case PD_STORE_FULL:
        add_finding(findings, "error", text, "free disk space; pens keep their records meanwhile");
        break;
    case PD_STORE_DAMAGED:
        add_finding(
            findings, "error", text, "keep the directory that was moved aside, check the disk");
        break;
    case PD_STORE_FAILING:
        add_finding(findings, "error", text, "check the disk; pens keep their records meanwhile");
        break;
    }
    if (store->state != PD_STORE_FULL && store->disk_free_bytes < DISK_LOW_BYTES) {
        g_autofree char *low = g_strdup_printf("only %" G_GUINT64_FORMAT " MiB of disk are free",
                                               store->disk_free_bytes >> 20);
        add_finding(findings, "warning", low, "free disk space before the store runs full");
    }
    if (store->n_conflicts > 0) {
        g_autofree char *both =
            g_strdup_printf("%" G_GUINT64_FORMAT
                            " records came twice with different bytes; both are kept",
                            store->n_conflicts);
        add_finding(findings, "warning", both, "have the pen's firmware looked at");
    }
}

static void
find_radio(GVariantBuilder *findings, PdService *service, const GPtrArray *adapters)
{
    bool any_powered = false;

    if (!pd_pen_manager_has_bluez(service->pens)) {
        add_finding(findings,
                    "error",
                    "bluetoothd is not running",
                    "plug in an adapter, which starts it; else: systemctl start bluetooth");
        return;
    }
    for (guint i = 0; i < adapters->len; i++) {
        const PdAdapterStatus *adapter = adapters->pdata[i];
        any_powered = any_powered || adapter->powered;
    }
    if (adapters->len == 0) {
        add_finding(
            findings, "error", "no Bluetooth adapter", "plug one in; see: bluetoothctl list");
    } else if (!any_powered) {
        add_finding(
            findings, "error", "no Bluetooth adapter is powered", "run: bluetoothctl power on");
    }
}

static bool
needs_attention(const char *state)
{
    static const char *const states[] = {
        "needs-enrol", "bluetoothd-stuck", "in-use", "refused", NULL
    };

    return state != NULL && g_strv_contains(states, state);
}

static void
find_pen(GVariantBuilder *findings, const PdPenStatus *pen)
{
    if (needs_attention(pen->state)) {
        g_autofree char *text = g_strdup_printf("pen %s is %s", pen->serial, pen->state);
        add_finding(findings, "warning", text, pen->reason != NULL ? pen->reason : "");
    }
    if (pen->n_malformed > 0) {
        g_autofree char *text = g_strdup_printf(
            "pen %s sent %u malformed segments, records or values", pen->serial, pen->n_malformed);
        add_finding(findings, "warning", text, "a few are radio; many: look at the pen's firmware");
    }
    if (pen->overwritten > 0) {
        g_autofree char *text = g_strdup_printf(
            "pen %s overwrote %u records before they were read", pen->serial, pen->overwritten);
        add_finding(findings, "warning", text, "bring the pen near this gateway more often");
    }
}

static void
find_pens(GVariantBuilder *findings, PdService *service)
{
    g_autoptr(GPtrArray) serials = pd_pen_manager_list(service->pens);

    for (guint i = 0; i < serials->len; i++) {
        PdPenStatus pen;
        if (pd_pen_manager_get(service->pens, serials->pdata[i], &pen)) {
            find_pen(findings, &pen);
        }
    }
}

static void
find_rest(GVariantBuilder *findings, PdService *service, const PdStoreHealth *store)
{
    if (service->time_sync != NULL && !pd_time_sync_is_synced(service->time_sync)) {
        add_finding(findings,
                    "warning",
                    "the clock is not synchronised, so times of sessions may be wrong",
                    "run: timedatectl set-ntp true");
    }
    if (service->config.notify_by_signal) {
        add_finding(findings,
                    "warning",
                    "notify = start is set: any local process may read samples off the bus",
                    "set notify = acquire in penteld.conf and restart penteld");
    }
    if (store->n_dropped > 0) {
        add_finding(findings,
                    "warning",
                    "the store's queue was full and records were asked for again",
                    "check how fast the disk is");
    }
    if (pd_service_loop_watch_get_max_us(service->loop_watch) > LOOP_SLOW_US) {
        add_finding(findings,
                    "info",
                    "the main loop was held up for over a quarter of a second",
                    "see loop_ms_max; the machine may be overloaded");
    }
}

static GVariant *
build_findings(PdService *service, const PdStoreHealth *store, const GPtrArray *adapters)
{
    GVariantBuilder findings;

    g_variant_builder_init(&findings, G_VARIANT_TYPE("aa{sv}"));
    find_store(&findings, store);
    find_radio(&findings, service, adapters);
    find_pens(&findings, service);
    find_rest(&findings, service, store);
    return g_variant_builder_end(&findings);
}

static GVariant *
build_adapters(const GPtrArray *adapters)
{
    GVariantBuilder list;

    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < adapters->len; i++) {
        const PdAdapterStatus *adapter = adapters->pdata[i];
        GVariantBuilder one;

        g_variant_builder_init(&one, G_VARIANT_TYPE("a{sv}"));
        g_variant_builder_add(&one, "{sv}", "address", g_variant_new_string(adapter->address));
        g_variant_builder_add(
            &one, "{sv}", "name", g_variant_new_string(adapter->name != NULL ? adapter->name : ""));
        g_variant_builder_add(
            &one, "{sv}", "powered", g_variant_new_boolean(adapter->powered ? TRUE : FALSE));
        g_variant_builder_add_value(&list, g_variant_builder_end(&one));
    }
    return g_variant_builder_end(&list);
}

static void
add_u64(GVariantBuilder *health, const char *key, uint64_t value)
{
    g_variant_builder_add(health, "{sv}", key, g_variant_new_uint64(value));
}

static void
add_string(GVariantBuilder *health, const char *key, const char *value)
{
    g_variant_builder_add(health, "{sv}", key, g_variant_new_string(value));
}

static uint32_t
to_ms_up(int64_t us)
{
    return (uint32_t)MIN((us + 999) / 1000, (int64_t)UINT32_MAX);
}

static void
add_store(GVariantBuilder *health, const PdStoreHealth *store)
{
    add_string(health, "store_state", store_state_to_string(store->state));
    add_string(health, "store_error", store->error != NULL ? store->error : "");
    add_u64(health, "journal_head", store->head);
    add_u64(health, "sessions", store->n_sessions);
    add_u64(health, "disk_free_bytes", store->disk_free_bytes);
    add_u64(health, "records_bad", store->n_bad);
    add_u64(health, "queue_bytes", store->queue_bytes);
    g_variant_builder_add(
        health, "{sv}", "commit_ms_max", g_variant_new_uint32(to_ms_up(store->commit_us_max)));
}

GVariant *
pd_service_health_to_variant(PdService *service)
{
    g_autoptr(GPtrArray) adapters = pd_pen_manager_list_adapters(service->pens);
    const int64_t loop_us = pd_service_loop_watch_get_max_us(service->loop_watch);
    PdStoreHealth store = { 0 };
    GVariantBuilder health;

    pd_store_get_health(service->store, &store);
    g_variant_builder_init(&health, G_VARIANT_TYPE("a{sv}"));
    add_string(&health, "version", PENTEL_VERSION);
    add_string(&health, "store_id", pd_store_get_id(service->store));
    add_store(&health, &store);
    /* bluetoothd does not tell its version on the bus. */
    add_string(&health, "bluez", pd_pen_manager_has_bluez(service->pens) ? "present" : "absent");
    g_variant_builder_add(&health, "{sv}", "adapters", build_adapters(adapters));
    add_u64(&health, "frames_lost", pd_pen_manager_get_frames_lost(service->pens));
    g_variant_builder_add(&health, "{sv}", "loop_ms_max", g_variant_new_uint32(to_ms_up(loop_us)));
    g_variant_builder_add(&health, "{sv}", "findings", build_findings(service, &store, adapters));
    pd_store_health_clear(&store);
    return g_variant_builder_end(&health);
}
