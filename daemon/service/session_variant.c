/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The one place where a stored session becomes keys and units of the bus. Leaves out
 * what is not known, so that no reader takes a zero for a measurement.
 */
#include "service/session_variant.h"

static const char *const end_causes[] = {
    "unspecified", "operator", "idle", "reset", "battery", "fault",
};

static uint64_t
to_ms(uint64_t us)
{
    return us / 1000u + (us % 1000u >= 500u ? 1u : 0u);
}

char *
pd_service_time_to_string(int64_t wall_us)
{
    if (wall_us == 0 || wall_us > G_MAXINT64 - 500) {
        return NULL;
    }
    int64_t ms = (wall_us + 500) / 1000;
    if ((wall_us + 500) % 1000 < 0) {
        ms--;
    }
    int64_t seconds = ms / 1000;
    int64_t rest_ms = ms % 1000;
    if (rest_ms < 0) {
        rest_ms += 1000;
        seconds--;
    }
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);
    if (time == NULL) {
        return NULL;
    }
    g_autofree char *text = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
    return g_strdup_printf("%s.%03dZ", text, (int)rest_ms);
}

static void
add_text(GVariantBuilder *builder, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        g_variant_builder_add(builder, "{sv}", key, g_variant_new_string(text));
    }
}

static void
add_time(GVariantBuilder *builder, const char *key, int64_t wall_us)
{
    g_autofree char *text = pd_service_time_to_string(wall_us);

    add_text(builder, key, text);
}

static void
add_u32(GVariantBuilder *builder, const char *key, uint32_t value)
{
    g_variant_builder_add(builder, "{sv}", key, g_variant_new_uint32(value));
}

static void
add_u64(GVariantBuilder *builder, const char *key, uint64_t value)
{
    g_variant_builder_add(builder, "{sv}", key, g_variant_new_uint64(value));
}

static void
add_depth(GVariantBuilder *builder, const PenDepth *depth)
{
    GVariantBuilder values;

    if (!depth->valid) {
        return;
    }
    g_variant_builder_init(&values, G_VARIANT_TYPE("a{sv}"));
    add_u32(&values, "min", depth->min_um);
    add_u32(&values, "median", depth->median_um);
    add_u32(&values, "p95", depth->p95_um);
    add_u32(&values, "max", depth->max_um);
    add_u32(&values, "mean", depth->mean_um);
    g_variant_builder_add(builder, "{sv}", "depth_um", g_variant_builder_end(&values));
}

static GVariant *
build_missing(const PdSession *session)
{
    GVariantBuilder missing;

    g_variant_builder_init(&missing, G_VARIANT_TYPE("a(uus)"));
    for (guint i = 0; session->missing != NULL && i < session->missing->len; i++) {
        const PdMissing *range = &g_array_index(session->missing, PdMissing, i);
        g_variant_builder_add(
            &missing, "(uus)", range->first, range->last, pd_cause_to_string(range->cause));
    }
    return g_variant_builder_end(&missing);
}

static void
add_records(GVariantBuilder *builder, const PdSession *session)
{
    g_autofree char *log = g_strdup_printf("%016" G_GINT64_MODIFIER "x", session->log_id);
    GVariantBuilder records;

    g_variant_builder_init(&records, G_VARIANT_TYPE("a{sv}"));
    add_text(&records, "log", log);
    add_u32(&records, "first", session->fold.first);
    add_u32(&records, "last", session->fold.last);
    g_variant_builder_add(&records, "{sv}", "missing", build_missing(session));
    g_variant_builder_add(builder, "{sv}", "records", g_variant_builder_end(&records));
}

/* When it was and what its records add up to; of an erased one nothing is known any more. */
static void
add_numbers(GVariantBuilder *builder, const PdSession *session)
{
    const PenSessionFold *fold = &session->fold;

    if (g_strcmp0(session->state, "erased") == 0) {
        return;
    }
    if (session->placed) {
        add_time(builder, "started_at", session->start_wall_us);
        add_u32(builder, "time_error_ms", (uint32_t)((session->time_error_us + 999ull) / 1000u));
    }
    /* Without its end record a session may have gone on: its end is not known. */
    if (session->placed && fold->has_end) {
        add_time(builder, "ended_at", session->end_wall_us);
    }
    if (pen_session_fold_has_time(fold) && fold->end_us >= fold->start_us) {
        add_u64(builder, "elapsed_ms", to_ms(fold->end_us - fold->start_us));
    }
    add_u64(builder, "contact_ms", to_ms(fold->contact_us));
    add_u32(builder, "pass_count", fold->n_passes);
    add_depth(builder, &fold->depth);
}

static void
add_summary(GVariantBuilder *builder, const PdSession *session)
{
    static const char *const none[] = { NULL };
    const char *const *zones = session->zones != NULL ? (const char *const *)session->zones : none;

    add_text(builder, "id", session->id);
    add_text(builder, "pen", session->serial);
    add_numbers(builder, session);
    add_text(builder, "state", session->state);
    add_records(builder, session);
    g_variant_builder_add(builder, "{sv}", "zones", g_variant_new_strv(zones, -1));
    add_u64(builder, "seq", session->opened_seq);
}

static GVariant *
build_pass(uint32_t index, const PdPass *pass)
{
    const PenPass *fold = &pass->fold;
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sv}"));
    add_u32(&builder, "index", index);
    add_time(&builder, "started_at", pass->start_wall_us);
    add_u64(&builder, "elapsed_ms", to_ms(fold->elapsed_us));
    add_u64(&builder, "contact_ms", to_ms(fold->contact_us));
    add_depth(&builder, &fold->depth);
    if (fold->has_rate) {
        g_variant_builder_add(
            &builder, "{sv}", "rate_hz", g_variant_new_double(fold->rate_mhz / 1000.0));
    }
    if (fold->has_punctures) {
        add_u64(&builder, "punctures_estimate", fold->punctures);
    }
    add_text(&builder, "zone", pass->zone);
    g_variant_builder_add(
        &builder, "{sv}", "incomplete", g_variant_new_boolean(fold->incomplete ? TRUE : FALSE));
    return g_variant_builder_end(&builder);
}

static void
add_passes(GVariantBuilder *builder, const PdSession *session)
{
    GVariantBuilder passes;

    g_variant_builder_init(&passes, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; session->passes != NULL && i < session->passes->len; i++) {
        g_variant_builder_add_value(&passes, build_pass(i + 1, session->passes->pdata[i]));
    }
    g_variant_builder_add(builder, "{sv}", "passes", g_variant_builder_end(&passes));
}

static GVariant *
build_note(const PdNote *note)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sv}"));
    add_time(&builder, "at", note->wall_us);
    switch (note->kind) {
    case PD_NOTE_SETTING:
        add_u32(&builder, "depth_um", note->value);
        break;
    case PD_NOTE_CARTRIDGE:
        add_text(&builder, "id", note->cartridge.id);
        add_text(&builder, "lot", note->cartridge.lot);
        add_text(&builder, "expiry", note->cartridge.expiry);
        if (note->cartridge.has_needles) {
            add_u32(&builder, "needles", note->cartridge.needles);
        }
        break;
    case PD_NOTE_FAULT:
        add_u32(&builder, "code", note->value);
        add_text(&builder, "text", note->text);
        break;
    }
    return g_variant_builder_end(&builder);
}

static void
add_notes(GVariantBuilder *builder, const char *key, const PdSession *session, guint kind)
{
    GVariantBuilder notes;

    g_variant_builder_init(&notes, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; session->notes != NULL && i < session->notes->len; i++) {
        const PdNote *note = session->notes->pdata[i];
        if ((guint)note->kind == kind) {
            g_variant_builder_add_value(&notes, build_note(note));
        }
    }
    g_variant_builder_add(builder, "{sv}", key, g_variant_builder_end(&notes));
}

static void
add_receipt(GVariantBuilder *builder, const PdSession *session)
{
    GVariantBuilder receipt;

    if (session->receipt_sha256[0] == '\0') {
        return;
    }
    g_variant_builder_init(&receipt, G_VARIANT_TYPE("a{sv}"));
    add_text(&receipt, "sha256", session->receipt_sha256);
    add_u32(&receipt, "first", session->fold.first);
    add_u32(&receipt, "last", session->fold.last);
    if (session->marked != 0) {
        add_u32(&receipt, "marked", session->marked);
        add_time(&receipt, "marked_at", session->marked_wall_us);
    }
    g_variant_builder_add(builder, "{sv}", "receipt", g_variant_builder_end(&receipt));
}

static void
add_details(GVariantBuilder *builder, const PdSession *session)
{
    const PenSessionFold *fold = &session->fold;

    add_passes(builder, session);
    add_notes(builder, "settings", session, PD_NOTE_SETTING);
    add_notes(builder, "cartridges", session, PD_NOTE_CARTRIDGE);
    add_notes(builder, "faults", session, PD_NOTE_FAULT);
    add_receipt(builder, session);
    add_text(builder, "definition", session->definition);
    add_text(builder, "patient", session->patient);
    add_text(builder, "operator", session->operator_name);
    add_text(builder, "note", session->note);
    add_text(builder, "reaction", session->reaction);
    add_text(builder, "order", session->order);
    add_text(builder, "closed_reason", session->closed_reason);
    add_text(builder, "hold", session->hold);
    if (fold->has_end && fold->end_cause < G_N_ELEMENTS(end_causes)) {
        add_text(builder, "end_cause", end_causes[fold->end_cause]);
    }
    if (fold->has_continues) {
        add_u32(builder, "continues", fold->continues);
    }
}

GVariant *
pd_service_session_to_variant(const PdSession *session, bool with_details)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sv}"));
    add_summary(&builder, session);
    if (with_details) {
        add_details(&builder, session);
    }
    return g_variant_builder_end(&builder);
}
