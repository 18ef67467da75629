/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Passes of one zone as one Observation. Decides what sums up over passes: medians and
 * percentiles do not, so a zone has the least, the greatest and the mean by contact time.
 */
#include "lib/dict.h"
#include "lib/time.h"
#include "sync/fhir_id.h"
#include "sync/fhir_json.h"
#include "sync/fhir_map.h"

typedef struct {
    const char *zone; /* "" for passes of none; borrowed from what was told */
    uint64_t n_passes;
    uint64_t n_incomplete;
    uint64_t contact_ms;
    uint64_t elapsed_ms;
    uint64_t depth_contact_ms; /* contact of the passes that have a depth */
    uint64_t rate_contact_ms;
    uint64_t min_um;
    uint64_t max_um;
    double mean_um_ms; /* sum of mean depth times contact */
    double rate_hz_ms;
    uint64_t punctures;
    bool has_punctures;
    int64_t start_wall_us; /* 0 when no pass of it is placed */
    int64_t end_wall_us;
} Zone;

static void
add_time(Zone *zone, GVariant *pass, uint64_t elapsed_ms)
{
    const char *text = cli_dict_get_text(pass, "started_at");
    int64_t start_us = 0;

    if (text == NULL || !cli_time_from_rfc3339(text, &start_us)) {
        return;
    }
    const int64_t end_us = start_us + (int64_t)MIN(elapsed_ms, G_MAXINT32) * 1000;
    if (zone->start_wall_us == 0 || start_us < zone->start_wall_us) {
        zone->start_wall_us = start_us;
    }
    zone->end_wall_us = MAX(zone->end_wall_us, end_us);
}

static void
add_depth(Zone *zone, GVariant *pass, uint64_t contact_ms)
{
    g_autoptr(GVariant) depth = cli_dict_get(pass, "depth_um", "a{sv}");
    uint64_t min_um = 0;
    uint64_t mean_um = 0;
    uint64_t max_um = 0;

    if (depth == NULL || !cli_dict_get_uint(depth, "min", &min_um) ||
        !cli_dict_get_uint(depth, "mean", &mean_um) || !cli_dict_get_uint(depth, "max", &max_um)) {
        return;
    }
    zone->min_um = zone->depth_contact_ms == 0 ? min_um : MIN(zone->min_um, min_um);
    zone->max_um = MAX(zone->max_um, max_um);
    zone->mean_um_ms += (double)mean_um * (double)MAX(contact_ms, 1);
    zone->depth_contact_ms += MAX(contact_ms, 1);
}

static void
add_pass(Zone *zone, GVariant *pass)
{
    uint64_t contact_ms = 0;
    uint64_t elapsed_ms = 0;
    uint64_t punctures = 0;
    double rate_hz = 0;
    bool is_incomplete = false;

    zone->n_passes++;
    (void)cli_dict_get_uint(pass, "contact_ms", &contact_ms);
    (void)cli_dict_get_uint(pass, "elapsed_ms", &elapsed_ms);
    zone->contact_ms += contact_ms;
    zone->elapsed_ms += elapsed_ms;
    add_time(zone, pass, elapsed_ms);
    add_depth(zone, pass, contact_ms);
    if (cli_dict_get_double(pass, "rate_hz", &rate_hz)) {
        zone->rate_hz_ms += rate_hz * (double)MAX(contact_ms, 1);
        zone->rate_contact_ms += MAX(contact_ms, 1);
    }
    if (cli_dict_get_uint(pass, "punctures_estimate", &punctures)) {
        zone->punctures += punctures;
        zone->has_punctures = true;
    }
    if (cli_dict_get_bool(pass, "incomplete", &is_incomplete) && is_incomplete) {
        zone->n_incomplete++;
    }
}

static Zone *
find_zone(GArray *zones, const char *name)
{
    for (guint i = 0; i < zones->len; i++) {
        Zone *zone = &g_array_index(zones, Zone, i);
        if (g_str_equal(zone->zone, name)) {
            return zone;
        }
    }
    const Zone fresh = { .zone = name };
    g_array_append_val(zones, fresh);
    return &g_array_index(zones, Zone, zones->len - 1);
}

static GArray *
gather(GVariant *state, const FhirTold *told)
{
    GArray *zones = g_array_new(FALSE, FALSE, sizeof(Zone));
    g_autoptr(GVariant) passes = cli_dict_get(state, "passes", "aa{sv}");

    for (guint i = 0; passes != NULL && i < g_variant_n_children(passes); i++) {
        g_autoptr(GVariant) pass = g_variant_get_child_value(passes, i);
        const FhirWord *word = i < told->zones->len ? told->zones->pdata[i] : NULL;
        const char *name = word == NULL || word->value == NULL ? "" : word->value;
        add_pass(find_zone(zones, name), pass);
    }
    return zones;
}

static void
add_component(JsonObject *json, const FhirMapping *mapping, const char *code, JsonObject *value)
{
    JsonObject *component = json_object_new();

    fhir_json_add(component, "code", fhir_codes_concept(mapping->codes, code));
    fhir_json_add(component, "valueQuantity", value);
    fhir_json_append(json, "component", component);
}

static double
round_to(double value, double unit)
{
    return (double)(int64_t)(value / unit + 0.5) * unit;
}

static void
add_components(JsonObject *json, const FhirMapping *mapping, const Zone *zone)
{
    add_component(
        json, mapping, "passes", fhir_quantity_new((double)zone->n_passes, "passes", "{pass}"));
    add_component(json,
                  mapping,
                  "contact-time",
                  fhir_quantity_new((double)zone->contact_ms / 1000.0, "s", "s"));
    add_component(json,
                  mapping,
                  "elapsed-time",
                  fhir_quantity_new((double)zone->elapsed_ms / 1000.0, "s", "s"));
    if (zone->depth_contact_ms > 0) {
        const double mean_um = round_to(zone->mean_um_ms / (double)zone->depth_contact_ms, 1.0);
        add_component(json,
                      mapping,
                      "depth-min",
                      fhir_quantity_new((double)zone->min_um / 1000.0, "mm", "mm"));
        add_component(json, mapping, "depth-mean", fhir_quantity_new(mean_um / 1000.0, "mm", "mm"));
        add_component(json,
                      mapping,
                      "depth-max",
                      fhir_quantity_new((double)zone->max_um / 1000.0, "mm", "mm"));
    }
    if (zone->rate_contact_ms > 0) {
        const double rate_mhz =
            round_to(1000.0 * zone->rate_hz_ms / (double)zone->rate_contact_ms, 1.0);
        add_component(
            json, mapping, "stroke-rate", fhir_quantity_new(rate_mhz / 1000.0, "Hz", "Hz"));
    }
    if (zone->has_punctures) {
        add_component(json,
                      mapping,
                      "punctures",
                      fhir_quantity_new((double)zone->punctures, "punctures", "{puncture}"));
    }
}

static void
add_period(JsonObject *json, const Zone *zone)
{
    if (zone->start_wall_us != 0) {
        JsonObject *period = json_object_new();
        fhir_json_add_time(period, "start", zone->start_wall_us);
        fhir_json_add_time(period, "end", zone->end_wall_us);
        fhir_json_add(json, "effectivePeriod", period);
    }
}

static void
add_method(JsonObject *json, const char *definition, const Zone *zone)
{
    JsonObject *method = json_object_new();
    g_autofree char *text =
        g_strdup_printf("derived by penteld, definition %s", definition == NULL ? "?" : definition);

    fhir_json_add_text(method, "text", text);
    fhir_json_add(json, "method", method);
    if (zone->n_incomplete > 0) {
        JsonObject *note = json_object_new();
        g_autofree char *gap =
            g_strdup_printf("records are missing next to %" G_GUINT64_FORMAT " of these passes",
                            zone->n_incomplete);
        fhir_json_add_text(note, "text", gap);
        fhir_json_append(json, "note", note);
    }
}

static bool
is_settled(GVariant *state)
{
    const char *word = cli_dict_get_text(state, "state");

    return g_strcmp0(word, "complete") == 0 || g_strcmp0(word, "lossy") == 0 ||
           g_strcmp0(word, "closed-by") == 0;
}

static FhirResource *
zone_new(const FhirMapping *mapping,
         const SyncDelivery *delivery,
         const FhirTold *told,
         const GPtrArray *devices,
         const Zone *zone)
{
    g_autofree char *id = fhir_id_new(delivery->session, "zone", zone->zone, NULL);
    JsonObject *json = fhir_map_begin(mapping, "Observation", id, false);
    const FhirResource *pen = devices->len > 0 ? devices->pdata[0] : NULL;

    fhir_json_append(json, "identifier", fhir_uuid_identifier_new(id));
    fhir_json_append(json, "partOf", fhir_reference_new("Procedure", delivery->session));
    fhir_json_add_text(json, "status", is_settled(delivery->state) ? "final" : "preliminary");
    fhir_json_append(json,
                     "category",
                     fhir_concept_new("http://terminology.hl7.org/CodeSystem/observation-category",
                                      "procedure",
                                      "Procedure"));
    fhir_json_add(json, "code", fhir_codes_concept(mapping->codes, "zone"));
    fhir_json_add(json, "subject", json_object_ref(told->subject));
    add_period(json, zone);
    if (zone->zone[0] != '\0') {
        fhir_json_add(json, "bodySite", fhir_codes_zone(mapping->codes, zone->zone));
    }
    add_method(json, cli_dict_get_text(delivery->state, "definition"), zone);
    if (pen != NULL && cli_dict_get_text(delivery->state, "pen") != NULL) {
        fhir_json_add(json, "device", fhir_reference_new("Device", pen->id));
    }
    add_components(json, mapping, zone);
    return fhir_resource_new("Observation", id, json);
}

GPtrArray *
fhir_map_observations(const FhirMapping *mapping,
                      const SyncDelivery *delivery,
                      const FhirTold *told,
                      const GPtrArray *devices)
{
    GPtrArray *observations = g_ptr_array_new_with_free_func((GDestroyNotify)fhir_resource_free);
    g_autoptr(GArray) zones = gather(delivery->state, told);

    for (guint i = 0; i < zones->len; i++) {
        const Zone *zone = &g_array_index(zones, Zone, i);
        g_ptr_array_add(observations, zone_new(mapping, delivery, told, devices, zone));
    }
    FhirResource *reaction = fhir_map_reaction(mapping, delivery->session, told);
    if (reaction != NULL) {
        g_ptr_array_add(observations, reaction);
    }
    return observations;
}
