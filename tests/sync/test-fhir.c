/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The parts of the FHIR sink that need no server: ids, JSON, answers, merit, what people said,
 * and the mapping of a session.
 */
#include "sync/fhir_capability.h"
#include "sync/fhir_http.h"
#include "sync/fhir_id.h"
#include "sync/fhir_json.h"
#include "sync/fhir_map.h"
#include "sync/fhir_outcome.h"
#include "sync/fhir_write.h"

#include <string.h>

#define SESSION "0b6a4d3e-1111-5222-8333-944455556666"
#define T0_US   ((int64_t)1764000000000000)

static JsonObject *
parse(const char *text)
{
    g_autoptr(GString) json = g_string_new(text);
    g_string_replace(json, "'", "\"", 0);
    g_autoptr(GError) error = NULL;
    JsonObject *object = fhir_json_parse(json->str, json->len, &error);

    g_assert_no_error(error);
    return object;
}

/* Ids by another implementation of UUIDv5 (Python's hashlib). */
static void
test_ids(void)
{
    g_autofree char *pen = fhir_id_pen("PT-0001");
    g_autofree char *cartridge = fhir_id_cartridge("C-1");
    g_autofree char *zone = fhir_id_new(SESSION, "zone", "forehead", NULL);
    g_autofree char *none = fhir_id_new(SESSION, "zone", "", NULL);

    g_assert_cmpstr(pen, ==, "8f5d0e1d-af27-5360-a1a1-cd989ae8bea9");
    g_assert_cmpstr(cartridge, ==, "c1da6079-1444-5a97-ba35-62feb72f61ac");
    g_assert_cmpstr(zone, ==, "515122bb-d0d1-584f-818d-0d2571f53fcd");
    g_assert_cmpstr(none, ==, "17d5b3ef-bccc-52df-b5e8-47ba02a92ab6");
    g_assert_null(fhir_id_new("no uuid", "zone", NULL));
}

static void
test_json_parse(void)
{
    static const struct {
        const char *text;
        bool is_good;
    } rows[] = {
        { "{}", true },        { "{\"a\":[1,2.5,null,true]}", true },
        { "", false },         { "[]", false },
        { "null", false },     { "{\"a\":", false },
        { "\xff\xfe", false }, { "{\"a\":\"\\\"[[[\"}", true },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonObject) object = fhir_json_parse(rows[i].text, strlen(rows[i].text), &error);
        g_assert_cmpint(object != NULL, ==, rows[i].is_good);
        g_assert_cmpint(error == NULL, ==, rows[i].is_good);
    }
    g_autofree char *deep = g_strnfill(100000, '[');
    g_assert_null(fhir_json_parse(deep, strlen(deep), NULL));
    /* A text in ' hides the brackets behind it from who counts by ". */
    g_autofree char *hidden = g_strconcat("{'\"':", deep, NULL);
    g_assert_null(fhir_json_parse(hidden, strlen(hidden), NULL));
}

static void
test_json_find(void)
{
    g_autoptr(JsonObject) object =
        parse("{'a':{'b':[{'c':'x'},7]},'n':12,'d':1.5,'t':true,'z':null}");

    g_assert_cmpstr(fhir_json_find_text(object, "a.b.0.c"), ==, "x");
    g_assert_null(fhir_json_find_text(object, "a.b.1.c"));
    g_assert_null(fhir_json_find_text(object, "a.b.2"));
    g_assert_null(fhir_json_find_text(object, "a.b.99999999999999999999"));
    g_assert_null(fhir_json_find_text(object, "n"));
    g_assert_null(fhir_json_find_text(object, "z.z"));
    g_assert_null(fhir_json_find_object(object, "a.b"));
    g_assert_null(fhir_json_find_array(object, "a"));
    g_assert_cmpint(fhir_json_find_int(object, "n", -1), ==, 12);
    g_assert_cmpint(fhir_json_find_int(object, "d", -1), ==, -1);
    g_assert_null(fhir_json_find_text(NULL, "a"));
}

static void
test_json_print(void)
{
    g_autoptr(JsonObject) object = json_object_new();

    json_object_set_double_member(object, "mm", 1.1);
    json_object_set_int_member(object, "n", 6000);
    fhir_json_add_text(object, "text", " a\tb\x01\x02 \"q\" ");
    fhir_json_add_text(object, "blank", " \n ");
    fhir_json_add_text(object, "none", NULL);
    fhir_json_add_text(object, "bytes", "a\xff");
    fhir_json_add_time(object, "at", T0_US + 123456);
    fhir_json_add_time(object, "never", 0);
    g_autofree char *text = fhir_json_print(object);
    g_assert_cmpstr(text,
                    ==,
                    "{\"mm\":1.1,\"n\":6000,\"text\":\"a\\u0009b   \\\"q\\\"\","
                    "\"bytes\":\"a\xef\xbf\xbd\",\"at\":\"2025-11-24T16:00:00.123Z\"}");
}

static void
test_json_equal(void)
{
    static const struct {
        const char *a;
        const char *b;
        bool is_equal;
    } rows[] = {
        { "{'a':1,'b':'x'}", "{'b':'x','a':1.0}", true },
        { "{'a':1}", "{'a':2}", false },
        { "{'a':1}", "{'a':'1'}", false },
        { "{'a':1}", "{'a':true}", false },
        { "{'a':[1,2]}", "{'a':[2,1]}", false },
        { "{'a':null}", "{'a':null}", true },
        { "{'a':1}", "{'a':1,'b':2}", false },
        { "{'a':{}}", "{'a':[]}", false },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(JsonNode) a = json_node_init_object(json_node_alloc(), NULL);
        g_autoptr(JsonNode) b = json_node_init_object(json_node_alloc(), NULL);
        json_node_take_object(a, parse(rows[i].a));
        json_node_take_object(b, parse(rows[i].b));
        g_assert_cmpint(fhir_json_equal(a, b), ==, rows[i].is_equal);
        g_assert_cmpint(fhir_json_equal(b, a), ==, rows[i].is_equal);
    }
}

static void
test_status(void)
{
    static const struct {
        guint status;
        int code; /* -1: good */
    } rows[] = {
        { 200, -1 },
        { 201, -1 },
        { 204, -1 },
        { 301, FHIR_ERROR_MOVED },
        { 400, FHIR_ERROR_REJECTED },
        { 401, FHIR_ERROR_ACCESS },
        { 403, FHIR_ERROR_ACCESS },
        { 404, FHIR_ERROR_ABSENT },
        { 408, FHIR_ERROR_LATER },
        { 409, FHIR_ERROR_CONFLICT },
        { 410, FHIR_ERROR_ABSENT },
        { 412, FHIR_ERROR_CONFLICT },
        { 413, FHIR_ERROR_TOO_LARGE },
        { 422, FHIR_ERROR_REJECTED },
        { 425, FHIR_ERROR_LATER },
        { 429, FHIR_ERROR_LATER },
        { 500, FHIR_ERROR_LATER },
        { 507, FHIR_ERROR_LATER },
        { 0, FHIR_ERROR_LATER },
        { 999, FHIR_ERROR_LATER },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        fhir_outcome_check_status("PUT x", rows[i].status, "", 0, &error);
        g_assert_cmpint(error == NULL ? -1 : error->code, ==, rows[i].code);
    }
    const char *body = "{\"resourceType\":\"OperationOutcome\",\"issue\":["
                       "{\"severity\":\"warning\",\"diagnostics\":\"never mind\"},"
                       "{\"severity\":\"error\",\"code\":\"x\",\"diagnostics\":\"no\\nsubject\","
                       "\"expression\":[\"Procedure.subject\"]}]}";
    g_autoptr(GError) error = NULL;
    g_assert_false(fhir_outcome_check_status("PUT x", 422, body, strlen(body), &error));
    g_assert_cmpstr(
        error->message, ==, "PUT x: the server said 422: no\nsubject (Procedure.subject)");
}

static void
test_bundle(void)
{
    static const struct {
        const char *text;
        int code; /* -1: good */
    } rows[] = {
        { "{'resourceType':'Bundle','entry':[{'response':{'status':'200 OK'}},"
          "{'response':{'status':'201'}}]}",
          -1 },
        { "{'resourceType':'Bundle','entry':[{'response':{'status':'200'}}]}", FHIR_ERROR_LATER },
        { "{'resourceType':'Bundle'}", FHIR_ERROR_LATER },
        { "{'resourceType':'Procedure','entry':[{},{}]}", FHIR_ERROR_LATER },
        { "{'resourceType':'Bundle','entry':[{'response':{'status':'200'}},7]}", FHIR_ERROR_LATER },
        { "{'resourceType':'Bundle','entry':[{'response':{'status':'503'}},"
          "{'response':{'status':'422'}}]}",
          FHIR_ERROR_REJECTED },
        { "{'resourceType':'Bundle','entry':[{'response':{'status':'200'}},"
          "{'response':{'status':'412'}}]}",
          FHIR_ERROR_CONFLICT },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(JsonObject) bundle = parse(rows[i].text);
        g_autoptr(GError) error = NULL;
        fhir_outcome_check_bundle(bundle, 2, &error);
        g_assert_cmpint(error == NULL ? -1 : error->code, ==, rows[i].code);
    }
    g_assert_false(fhir_outcome_check_bundle(NULL, 1, NULL));
}

static void
test_retry_after(void)
{
    static const struct {
        const char *header;
        uint32_t ms;
    } rows[] = {
        { NULL, 0 },
        { "0", 0 },
        { "7", 7000 },
        { "4000000000", 3600000 },
        { "-5", 0 },
        { "soon", 0 },
        { "Mon, 24 Nov 2025 16:00:10 GMT", 10000 },
        { "Mon, 24 Nov 2025 15:00:00 GMT", 0 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpuint(fhir_http_retry_after_ms(rows[i].header, T0_US), ==, rows[i].ms);
    }
}

static void
test_locations(void)
{
    static const struct {
        const char *location;
        const char *id;
    } rows[] = {
        { "https://x/fhir/Procedure/12/_history/1", "12" },
        { "Procedure/a-b.c", "a-b.c" },
        { "/Procedure/", NULL },
        { "https://x/fhir/MyProcedure/12", NULL },
        { "https://x/fhir/Observation/12", NULL },
        { "Procedure/1?x=y", NULL },
        { NULL, NULL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *id = fhir_ids_parse(rows[i].location, "Procedure");
        g_assert_cmpstr(id, ==, rows[i].id);
    }
}

static FhirMerit
merit_of(const char *gateway, int64_t n_settled, int64_t wall_us)
{
    return (FhirMerit){ .n_settled = n_settled, .wall_us = wall_us, .gateway = g_strdup(gateway) };
}

static void
test_merit(void)
{
    static const struct {
        int64_t n_ours;
        int64_t n_theirs;
        int64_t our_us;
        int64_t their_us;
        const char *our_gateway;
        const char *their_gateway;
        bool wins;
        bool may_be_old;
    } rows[] = {
        { 6000, 900, 1, 9, "a", "b", true, false },
        { 900, 6000, 9, 1, "a", "b", false, false },
        { 900, 6000, 9, 1, "a", "a", false, false },
        { 900, 900, 9, 1, "a", "b", true, false },
        { 900, 900, 1, 9, "a", "b", false, false },
        { 900, 900, 1, 1, "a", "b", false, false },
        { 900, 900, 1, 1, "b", "a", true, false },
        { 900, 900, 1, 9, "a", "a", true, false }, /* a clock set back */
        { 0, -1, 0, 0, "a", NULL, true, false },
        { 900, 900, 1, 9, "a", "a", false, true }, /* an old stick */
        { 900, 900, 9, 9, "a", "a", true, true },
        { 901, 900, 1, 9, "a", "a", true, true },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        FhirMerit ours = merit_of(rows[i].our_gateway, rows[i].n_ours, rows[i].our_us);
        FhirMerit theirs = merit_of(rows[i].their_gateway, rows[i].n_theirs, rows[i].their_us);
        ours.may_be_old = rows[i].may_be_old;
        g_assert_cmpint(fhir_merit_wins(&ours, &theirs), ==, rows[i].wins);
        fhir_merit_clear(&ours);
        fhir_merit_clear(&theirs);
    }
}

typedef struct {
    GVariant *state; /* owned */
    GArray *said;    /* owned */
    SyncDelivery delivery;
    FhirMapping mapping;
    FhirCodes *codes; /* owned */
} Fixture;

static void
set_up(Fixture *self, gconstpointer data)
{
    const char *text = data;

    self->state = g_variant_ref_sink(g_variant_new_parsed(text));
    self->said = g_array_new(FALSE, FALSE, sizeof(SyncSaid));
    self->codes = fhir_codes_load(NULL, NULL);
    self->mapping = (FhirMapping){ .codes = self->codes };
    self->delivery = (SyncDelivery){ .session = SESSION,
                                     .gateway = "room-1",
                                     .store_id = "",
                                     .state = self->state,
                                     .wall_us = T0_US,
                                     .fold_wall_us = T0_US - 1000000,
                                     .n_settled = 100,
                                     .said = self->said };
}

static void
tear_down(Fixture *self, gconstpointer data)
{
    g_variant_unref(self->state);
    g_array_unref(self->said);
    fhir_codes_free(self->codes);
}

static void
say(Fixture *self, const char *field, int64_t wall_us)
{
    const SyncSaid said = { .field = (char *)(uintptr_t)field, .wall_us = wall_us };

    g_array_append_val(self->said, said);
}

#define PASS(start, zone, contact, min, mean, max)                                                 \
    "{'index': <uint32 1>, 'started_at': <'" start "'>, 'elapsed_ms': <uint64 " contact            \
    ">, 'contact_ms': <uint64 " contact ">, 'zone': <'" zone                                       \
    "'>, 'depth_um': <{'min': <uint32 " min ">, 'mean': <uint32 " mean ">, 'max': <uint32 " max    \
    ">}>, 'rate_hz': <100.5>, 'punctures_estimate': <uint64 1000>, 'incomplete': <false>}"

#define WHOLE                                                                                      \
    "{'id': <'" SESSION "'>, 'pen': <'PT-0001'>, 'state': <'complete'>, "                          \
    "'started_at': <'2025-11-24T10:00:00.000Z'>, 'ended_at': <'2025-11-24T10:20:00.000Z'>, "       \
    "'patient': <'4711'>, 'operator': <'N. N.'>, 'note': <'calm'>, 'definition': <'pass/1'>, "     \
    "'reaction': <'mild\\nerythema'>, 'order': <'CarePlan/7'>, "                                   \
    "'cartridges': <[{'id': <'C-1'>, 'lot': <'L'>, 'expiry': <'2026-02-30'>, 'needles': <uint32 "  \
    "12>}, {'id': <'C-1'>}, {'lot': <'L2'>, 'expiry': <'2027-01-31'>}]>, "                         \
    "'receipt': <{'sha256': <'ab'>}>, "                                                            \
    "'passes': <[" PASS("2025-11-24T10:00:01.000Z",                                                \
                        "chin",                                                                    \
                        "1000",                                                                    \
                        "300",                                                                     \
                        "400",                                                                     \
                        "600") ", " PASS("2025-11-24T10:01:00.000Z",                               \
                                         "chin",                                                   \
                                         "3000",                                                   \
                                         "200",                                                    \
                                         "800",                                                    \
                                         "900") ", " PASS("2025-11-24T10:02:00.000Z",              \
                                                          " ",                                     \
                                                          "500",                                   \
                                                          "100",                                   \
                                                          "100",                                   \
                                                          "100") "]>}"

static JsonObject *
subject_new(void)
{
    return parse("{'type':'Patient','identifier':{'system':'urn:x','value':'4711'}}");
}

static void
test_devices(Fixture *self, gconstpointer data)
{
    g_autoptr(GPtrArray) devices = fhir_map_devices(&self->mapping, &self->delivery);
    const FhirResource *first = devices->pdata[1];
    const FhirResource *last = devices->pdata[2];

    g_assert_cmpuint(devices->len, ==, 3); /* the pen, C-1 once, and the one without an id */
    g_assert_cmpstr(fhir_json_find_text(first->json, "serialNumber"), ==, "C-1");
    g_assert_null(fhir_json_find_text(first->json, "expirationDate")); /* 30 February */
    g_assert_cmpstr(fhir_json_find_text(last->json, "expirationDate"), ==, "2027-01-31");
    g_assert_null(fhir_json_find(last->json, "serialNumber"));
}

static double
value_of(JsonObject *observation, const char *code)
{
    JsonArray *components = fhir_json_find_array(observation, "component");

    for (guint i = 0; i < json_array_get_length(components); i++) {
        JsonObject *component = fhir_json_at(components, i);
        if (g_strcmp0(fhir_json_find_text(component, "code.coding.0.code"), code) == 0) {
            return json_node_get_double(fhir_json_find(component, "valueQuantity.value"));
        }
    }
    return -1;
}

static void
test_zones(Fixture *self, gconstpointer data)
{
    g_autoptr(JsonObject) subject = subject_new();
    g_autoptr(GPtrArray) devices = fhir_map_devices(&self->mapping, &self->delivery);
    g_autoptr(FhirTold) told = fhir_told_of_delivery(&self->delivery, subject);
    g_autoptr(GPtrArray) zones =
        fhir_map_observations(&self->mapping, &self->delivery, told, devices);
    const FhirResource *chin = zones->pdata[0];
    const FhirResource *none = zones->pdata[1];

    const FhirResource *reaction = zones->pdata[2];

    g_assert_cmpuint(zones->len, ==, 3); /* a blank zone is none */
    g_assert_cmpstr(fhir_json_find_text(reaction->json, "valueString"), ==, "mild\nerythema");
    g_assert_null(fhir_json_find(reaction->json, "effectiveDateTime")); /* not known when */
    g_assert_null(fhir_json_find(reaction->json, "component"));
    g_assert_cmpstr(fhir_json_find_text(chin->json, "bodySite.text"), ==, "chin");
    g_assert_null(fhir_json_find(none->json, "bodySite"));
    g_assert_cmpfloat(value_of(chin->json, "passes"), ==, 2.0);
    g_assert_cmpfloat(value_of(chin->json, "contact-time"), ==, 4.0);
    g_assert_cmpfloat(value_of(chin->json, "depth-min"), ==, 0.2);
    g_assert_cmpfloat(value_of(chin->json, "depth-mean"), ==, 0.7); /* (400 + 3 x 800) / 4 */
    g_assert_cmpfloat(value_of(chin->json, "depth-max"), ==, 0.9);
    g_assert_cmpfloat(value_of(chin->json, "stroke-rate"), ==, 100.5);
    g_assert_cmpfloat(value_of(chin->json, "punctures"), ==, 2000.0);
    g_assert_cmpstr(
        fhir_json_find_text(chin->json, "effectivePeriod.start"), ==, "2025-11-24T10:00:01.000Z");
    g_assert_cmpstr(
        fhir_json_find_text(chin->json, "effectivePeriod.end"), ==, "2025-11-24T10:01:03.000Z");
    g_assert_cmpstr(fhir_json_find_text(chin->json, "status"), ==, "final");
}

static void
test_procedure(Fixture *self, gconstpointer data)
{
    g_autoptr(JsonObject) subject = subject_new();
    g_autoptr(GPtrArray) devices = fhir_map_devices(&self->mapping, &self->delivery);
    say(self, "operator", T0_US + 5);
    say(self, "zone:1", T0_US + 7000);
    say(self, "reaction", T0_US + 9000);
    g_autoptr(FhirTold) told = fhir_told_of_delivery(&self->delivery, subject);
    g_autoptr(FhirResource) procedure =
        fhir_map_procedure(&self->mapping, &self->delivery, told, devices);
    FhirMerit merit = fhir_merit_of_procedure(procedure->json);

    g_assert_cmpstr(procedure->id, ==, SESSION);
    g_assert_cmpstr(fhir_json_find_text(procedure->json, "status"), ==, "completed");
    g_assert_cmpstr(fhir_json_find_text(procedure->json, "subject.identifier.value"), ==, "4711");
    g_assert_cmpstr(fhir_json_find_text(procedure->json, "performer.0.actor.display"), ==, "N. N.");
    g_assert_cmpstr(fhir_json_find_text(procedure->json, "bodySite.0.text"), ==, "chin");
    g_assert_null(fhir_json_find(procedure->json, "bodySite.1"));
    g_assert_null(fhir_json_find(procedure->json, "usedReference.3"));
    g_assert_cmpint(merit.n_settled, ==, 100);
    g_assert_cmpint(merit.wall_us, ==, T0_US);
    g_assert_cmpstr(merit.gateway, ==, "room-1");
    fhir_merit_clear(&merit);

    /* What it says of what was said comes back as it was. */
    g_autoptr(FhirTold) back = fhir_told_of_procedure(procedure->json);
    const FhirWord *zone = back->zones->pdata[0];
    g_assert_cmpint(back->operator_name.wall_us, ==, T0_US);
    g_assert_cmpstr(back->operator_name.value, ==, "N. N.");
    g_assert_cmpstr(zone->value, ==, "chin");
    g_assert_cmpstr(back->reaction.value, ==, "mild\nerythema");
    g_assert_cmpint(back->reaction.wall_us, ==, T0_US + 9000);
    g_assert_cmpstr(back->order.value, ==, "CarePlan/7");
    g_assert_cmpint(zone->wall_us, ==, T0_US + 7000);
    g_assert_false(fhir_told_merge(back, told, "room-1"));
}

static void
test_order(void)
{
    static const struct {
        const char *order;
        const char *system;
        const char *reference;
        const char *value;
    } rows[] = {
        { "ServiceRequest/a-1.B", "urn:o", "ServiceRequest/a-1.B", NULL },
        { "CarePlan/7", NULL, "CarePlan/7", NULL },
        { "CarePlan/", "urn:o", NULL, "CarePlan/" },
        { "CarePlan/7/_history/1", NULL, NULL, "CarePlan/7/_history/1" },
        { "Patient/7", "urn:o", NULL, "Patient/7" },
        { "A 17", "urn:o", NULL, "A 17" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(FhirTold) told = fhir_told_of_procedure(NULL);
        g_autoptr(JsonObject) json = json_object_new();
        told->order = (FhirWord){ .value = g_strdup(rows[i].order), .wall_us = T0_US };
        fhir_told_write(told, rows[i].system, json);
        g_assert_cmpstr(fhir_json_find_text(json, "basedOn.0.reference"), ==, rows[i].reference);
        g_assert_cmpstr(fhir_json_find_text(json, "basedOn.0.identifier.value"), ==, rows[i].value);
        g_assert_cmpstr(fhir_json_find_text(json, "basedOn.0.identifier.system"),
                        ==,
                        rows[i].value != NULL ? rows[i].system : NULL);
        told->order.wall_us = 0;
        g_clear_pointer(&told->order.value, g_free);
        fhir_told_write(told, rows[i].system, json);
        g_assert_cmpuint(json_object_get_size(json), ==, 0);
    }
}

/* A gateway of a later version said something: one that is older hands it on as it is. */
static void
test_later_word(void)
{
    g_autoptr(JsonObject) theirs = json_object_new();
    g_autoptr(JsonObject) ours = json_object_new();
    g_autoptr(FhirTold) said = fhir_told_of_procedure(NULL);
    JsonObject *extension = fhir_extension_new(FHIR_EXTENSION "said");

    fhir_json_append(
        extension, "extension", fhir_extension_new_text("field", "valueString", "mood"));
    fhir_json_append(
        extension, "extension", fhir_extension_new_text("value", "valueString", "calm"));
    fhir_json_append(theirs, "extension", extension);
    g_autoptr(FhirTold) later = fhir_told_of_procedure(theirs);
    g_assert_false(fhir_told_merge(said, later, "room-1"));
    fhir_told_write(said, NULL, ours);
    g_autofree char *text = fhir_json_print(ours);
    g_autofree char *wanted = fhir_json_print(theirs);
    g_assert_cmpstr(text, ==, wanted);
    /* On a Procedure that has it already it is not there twice. */
    fhir_told_write(later, NULL, theirs);
    g_autofree char *again = fhir_json_print(theirs);
    g_assert_cmpstr(again, ==, wanted);
}

static void
test_provenance(Fixture *self, gconstpointer data)
{
    g_autoptr(FhirResource) provenance = fhir_map_provenance(&self->mapping, &self->delivery);

    g_assert_cmpstr(
        fhir_json_find_text(provenance->json, "recorded"), ==, "2025-11-24T15:59:59.000Z");
    g_assert_cmpstr(
        fhir_json_find_text(provenance->json, "agent.0.who.identifier.value"), ==, "room-1");
    self->delivery.gateway = "room-2";
    g_autoptr(FhirResource) other = fhir_map_provenance(&self->mapping, &self->delivery);
    g_assert_cmpstr(other->id, !=, provenance->id);
}

/* A state of which nothing is known, or everything is of the wrong type. */
static void
test_nothing(Fixture *self, gconstpointer data)
{
    g_autoptr(JsonObject) subject = subject_new();
    g_autoptr(GPtrArray) devices = fhir_map_devices(&self->mapping, &self->delivery);
    g_autoptr(FhirTold) told = fhir_told_of_delivery(&self->delivery, subject);
    g_autoptr(GPtrArray) zones =
        fhir_map_observations(&self->mapping, &self->delivery, told, devices);
    g_autoptr(FhirResource) procedure =
        fhir_map_procedure(&self->mapping, &self->delivery, told, devices);

    g_assert_cmpuint(devices->len, ==, 0);
    g_assert_cmpuint(zones->len, ==, 0);
    g_assert_null(fhir_map_provenance(&self->mapping, &self->delivery));
    g_assert_cmpstr(fhir_json_find_text(procedure->json, "status"), ==, FHIR_STATUS_BEGUN);
    g_assert_nonnull(fhir_json_find_text(procedure->json, "performedString"));
}

static void
test_erased(Fixture *self, gconstpointer data)
{
    g_autoptr(FhirResource) procedure = fhir_map_withdrawn_procedure(&self->mapping, SESSION, true);
    g_autoptr(FhirResource) zone =
        fhir_map_withdrawn_observation(&self->mapping, SESSION, SESSION, NULL, true);
    self->mapping.is_test = true;
    g_autoptr(JsonObject) subject = subject_new();
    g_autoptr(FhirResource) wrong =
        fhir_map_withdrawn_observation(&self->mapping, SESSION, SESSION, subject, false);

    g_assert_true(fhir_map_is_erased(procedure->json));
    g_assert_true(fhir_map_is_erased(zone->json));
    g_assert_false(fhir_map_is_erased(wrong->json));
    g_assert_cmpstr(fhir_json_find_text(wrong->json, "meta.tag.0.code"), ==, "HTEST");
    g_assert_cmpstr(
        fhir_json_find_text(procedure->json, "subject.extension.0.valueCode"), ==, "masked");
}

typedef struct {
    const char *value;
    int64_t wall_us; /* 0: never said */
    const char *gateway;
} Word;

static FhirTold *
told_with_note(const Word *word)
{
    FhirTold *told = fhir_told_of_procedure(NULL);

    told->note = (FhirWord){ .value = g_strdup(word->value),
                             .wall_us = word->wall_us,
                             .gateway = g_strdup(word->gateway) };
    return told;
}

/* Ours is of gateway "a". */
static void
test_said(void)
{
    static const struct {
        Word ours;
        Word theirs;
        const char *result;
        bool is_newer;
        bool may_be_old;
    } rows[] = {
        { { NULL, 0, NULL }, { "x", 5, "b" }, "x", false, false },
        { { "y", 5, "a" }, { NULL, 0, NULL }, "y", true, false },
        { { "y", 5, "a" }, { "x", 9, "b" }, "x", false, false },
        { { "y", 9, "a" }, { "x", 5, "b" }, "y", true, false },
        { { NULL, 9, "a" }, { "x", 5, "b" }, "x", false, false }, /* taken back here, set there */
        { { NULL, 9, "a" }, { "x", 5, "a" }, NULL, true, false }, /* taken back where it was said */
        { { "y", 5, "a" }, { NULL, 9, "b" }, "y", true, false },
        { { "y", 5, "a" }, { "x", 9, "a" }, "y", true, false }, /* our clock was set back */
        { { "y", 5, "a" }, { "y", 5, "a" }, "y", false, false },
        { { NULL, 0, NULL }, { "x", 5, "a" }, "x", false, false }, /* ours was restored */
        { { "y", 5, "a" }, { "x", 9, "a" }, "x", false, true },    /* an old stick */
        { { "y", 9, "a" }, { "x", 5, "a" }, "y", true, true },
        { { NULL, 9, "a" }, { "x", 5, "a" }, NULL, true, true },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(FhirTold) ours = told_with_note(&rows[i].ours);
        g_autoptr(FhirTold) theirs = told_with_note(&rows[i].theirs);
        ours->may_be_old = rows[i].may_be_old;
        const bool is_newer = fhir_told_merge(ours, theirs, "a");
        g_assert_cmpstr(ours->note.value, ==, rows[i].result);
        g_assert_cmpint(is_newer, ==, rows[i].is_newer);
    }
}

#define CAN(type, more)                                                                            \
    "{'type':'" type "','versioning':'versioned','interaction':[{'code':'read'},{'code':"          \
    "'create'},{'code':'update'}]," more "}"
#define FOUR(more) CAN("Procedure", more) "," CAN("Device", more) "," CAN("Observation", more)
#define STATEMENT(version, rest)                                                                   \
    "{'fhirVersion':'" version                                                                     \
    "','rest':[{'interaction':[{'code':'transaction'}],'resource':[" rest "]}]}"

static void
test_capability(void)
{
    static const struct {
        const char *text;
        int mode; /* -1: refused */
    } rows[] = {
        { STATEMENT("4.0.1",
                    FOUR("'updateCreate':true") "," CAN("Provenance", "'updateCreate':true")),
          FHIR_MODE_PUT },
        { STATEMENT("4.0.1",
                    FOUR("'conditionalCreate':true,'searchParam':[{'name':'identifier'}]") "," CAN(
                        "Provenance", "'searchParam':[{'name':'target'}]")),
          FHIR_MODE_CONDITIONAL },
        { STATEMENT("4.0.1",
                    FOUR("'searchParam':[{'name':'identifier'}]") "," CAN(
                        "Provenance", "'searchParam':[{'name':'target'}]")),
          FHIR_MODE_SEARCH },
        { STATEMENT("4.0.1", FOUR("'updateCreate':true")), -1 },
        { STATEMENT("4.0.1", FOUR("'updateCreate':'true'") "," CAN("Provenance", "'x':1")), -1 },
        { STATEMENT("5.0.0", FOUR("'updateCreate':true")), -1 },
        { "{}", -1 },
        { "{'fhirVersion':'4.0.1','rest':7}", -1 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(JsonObject) statement = parse(rows[i].text);
        g_autoptr(GError) error = NULL;
        FhirCapability capability = { 0 };
        const bool is_good = fhir_capability_read(statement, &capability, &error);
        g_assert_cmpint(is_good ? (int)capability.mode : -1, ==, rows[i].mode);
        if (!is_good) {
            g_assert_error(error, SYNC_ERROR, SYNC_ERROR_FOREIGN);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fhir/ids", test_ids);
    g_test_add_func("/fhir/json/parse", test_json_parse);
    g_test_add_func("/fhir/json/find", test_json_find);
    g_test_add_func("/fhir/json/print", test_json_print);
    g_test_add_func("/fhir/json/equal", test_json_equal);
    g_test_add_func("/fhir/outcome/status", test_status);
    g_test_add_func("/fhir/outcome/bundle", test_bundle);
    g_test_add_func("/fhir/retry-after", test_retry_after);
    g_test_add_func("/fhir/locations", test_locations);
    g_test_add_func("/fhir/merit", test_merit);
    g_test_add_func("/fhir/said", test_said);
    g_test_add_func("/fhir/order", test_order);
    g_test_add_func("/fhir/later-word", test_later_word);
    g_test_add_func("/fhir/capability", test_capability);
    g_test_add("/fhir/map/devices", Fixture, WHOLE, set_up, test_devices, tear_down);
    g_test_add("/fhir/map/zones", Fixture, WHOLE, set_up, test_zones, tear_down);
    g_test_add("/fhir/map/procedure", Fixture, WHOLE, set_up, test_procedure, tear_down);
    g_test_add("/fhir/map/provenance", Fixture, WHOLE, set_up, test_provenance, tear_down);
    g_test_add("/fhir/map/erased", Fixture, WHOLE, set_up, test_erased, tear_down);
    g_test_add("/fhir/map/nothing", Fixture, "@a{sv} {}", set_up, test_nothing, tear_down);
    g_test_add("/fhir/map/wrong",
               Fixture,
               "{'pen': <7>, 'passes': <'x'>, 'cartridges': <[1, 2]>, 'receipt': <true>, 'state': "
               "<3>, 'started_at': <uint32 1>}",
               set_up,
               test_nothing,
               tear_down);
    return g_test_run();
}
