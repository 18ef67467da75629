/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides whose word counts when two gateways know different things about one session.
 */
#include "sync/fhir_told.h"

#include "lib/dict.h"
#include "lib/time.h"
#include "sync/fhir_codes.h"
#include "sync/fhir_id.h"
#include "sync/fhir_json.h"

#include <string.h>

#define SAID FHIR_EXTENSION "said"

/* Gateways place one pass by their own clocks, which NTP keeps closer than this. */
#define SAME_PASS_US INT64_C(1000000)

static void
word_clear(FhirWord *word)
{
    g_clear_pointer(&word->value, g_free);
    g_clear_pointer(&word->gateway, g_free);
    word->wall_us = 0;
}

static void
word_free(gpointer data)
{
    word_clear(data);
    g_free(data);
}

static FhirTold *
told_new(void)
{
    FhirTold *self = g_new0(FhirTold, 1);

    self->zones = g_ptr_array_new_with_free_func(word_free);
    self->later = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
    return self;
}

void
fhir_told_free(FhirTold *self)
{
    if (self == NULL) {
        return;
    }
    g_clear_pointer(&self->subject, json_object_unref);
    word_clear(&self->patient);
    word_clear(&self->operator_name);
    word_clear(&self->note);
    word_clear(&self->reaction);
    word_clear(&self->order);
    g_ptr_array_unref(self->zones);
    g_ptr_array_unref(self->later);
    g_free(self);
}

static void
read_word(FhirWord *word, const SyncSaid *said, const char *value, const char *gateway)
{
    g_autofree char *text = g_strdup(value == NULL ? "" : value);

    /* FHIR has no blank text: it is none. */
    word->value = *g_strstrip(text) == '\0' ? NULL : g_strdup(text);
    if (said != NULL || value != NULL) {
        word->gateway = g_strdup(gateway);
        /* Something that is there was said, if long before what was read. On the server
         * times have milliseconds, and only equal ones compare as equal. */
        word->wall_us = said != NULL && said->wall_us > 1000 ? said->wall_us / 1000 * 1000 : 1000;
    }
}

/* Of the whole session, under one key in its state as in what was said. */
static void
read_key(FhirWord *word, const SyncDelivery *delivery, const char *key)
{
    read_word(word,
              sync_delivery_find_said(delivery, key),
              cli_dict_get_text(delivery->state, key),
              delivery->gateway);
}

static FhirWord *
read_zone(const SyncDelivery *delivery, GVariant *pass, guint index, const char *gateway)
{
    FhirWord *word = g_new0(FhirWord, 1);
    g_autofree char *field = g_strdup_printf("zone:%u", index);
    const SyncSaid *said = sync_delivery_find_said(delivery, field);
    const char *start = cli_dict_get_text(pass, "started_at");

    if (said == NULL) {
        said = sync_delivery_find_said(delivery, "zone");
    }
    read_word(word, said, cli_dict_get_text(pass, "zone"), gateway);
    if (start != NULL) {
        (void)cli_time_from_rfc3339(start, &word->start_wall_us);
    }
    return word;
}

FhirTold *
fhir_told_of_delivery(const SyncDelivery *delivery, JsonObject *subject)
{
    const char *gateway = delivery->gateway;
    FhirTold *self = told_new();
    GVariant *state = delivery->state;
    g_autoptr(GVariant) passes = cli_dict_get(state, "passes", "aa{sv}");

    self->may_be_old = delivery->is_carried;
    self->subject = subject == NULL ? NULL : json_object_ref(subject);
    read_word(&self->patient, sync_delivery_find_said(delivery, "patient"), NULL, gateway);
    if (subject != NULL && self->patient.gateway == NULL) {
        read_word(&self->patient, NULL, "", gateway);
    }
    read_key(&self->operator_name, delivery, "operator");
    read_key(&self->note, delivery, "note");
    read_key(&self->reaction, delivery, "reaction");
    read_key(&self->order, delivery, "order");
    for (gsize i = 0; passes != NULL && i < g_variant_n_children(passes); i++) {
        g_autoptr(GVariant) pass = g_variant_get_child_value(passes, i);
        g_ptr_array_add(self->zones, read_zone(delivery, pass, (guint)i + 1, gateway));
    }
    return self;
}

static int64_t
time_of(JsonObject *extension, const char *name)
{
    JsonObject *inner = fhir_extension_find(extension, name);
    const char *text = inner == NULL ? NULL : fhir_json_find_text(inner, "valueInstant");
    int64_t wall_us = 0;

    return text != NULL && cli_time_from_rfc3339(text, &wall_us) ? wall_us : 0;
}

static const char *
text_of(JsonObject *extension, const char *name)
{
    JsonObject *inner = fhir_extension_find(extension, name);

    return inner == NULL ? NULL : fhir_json_find_text(inner, "valueString");
}

static void
read_extension(FhirTold *self, JsonObject *procedure, JsonObject *extension)
{
    const char *field = text_of(extension, "field");
    FhirWord word = { 0 };

    if (field == NULL) {
        return;
    }
    word.gateway = g_strdup(text_of(extension, "gateway"));
    word.wall_us = time_of(extension, "at");
    word.start_wall_us = time_of(extension, "pass");
    if (strcmp(field, "patient") == 0) {
        word_clear(&self->patient);
        self->patient = word;
    } else if (strcmp(field, "operator") == 0) {
        word_clear(&self->operator_name);
        word.value = g_strdup(fhir_json_find_text(procedure, "performer.0.actor.display"));
        self->operator_name = word;
    } else if (strcmp(field, "note") == 0) {
        word_clear(&self->note);
        word.value = g_strdup(fhir_json_find_text(procedure, "note.0.text"));
        self->note = word;
    } else if (strcmp(field, "reaction") == 0) {
        word_clear(&self->reaction);
        word.value = g_strdup(text_of(extension, "value"));
        self->reaction = word;
    } else if (strcmp(field, "order") == 0) {
        word_clear(&self->order);
        word.value = g_strdup(text_of(extension, "value"));
        self->order = word;
    } else if (strcmp(field, "zone") == 0) {
        word.value = g_strdup(text_of(extension, "value"));
        g_ptr_array_add(self->zones, g_memdup2(&word, sizeof word));
    } else {
        word_clear(&word);
        g_ptr_array_add(self->later, fhir_json_copy(extension));
    }
}

FhirTold *
fhir_told_of_procedure(JsonObject *procedure)
{
    FhirTold *self = told_new();
    JsonArray *extensions = fhir_json_find_array(procedure, "extension");
    JsonObject *subject = fhir_json_find_object(procedure, "subject");

    self->subject = subject == NULL ? NULL : fhir_json_copy(subject);
    for (guint i = 0; extensions != NULL && i < json_array_get_length(extensions); i++) {
        JsonObject *extension = fhir_json_at(extensions, i);
        if (g_strcmp0(fhir_json_find_text(extension, "url"), SAID) == 0) {
            read_extension(self, procedure, extension);
        }
    }
    return self;
}

/* Who says it to whom. */
typedef struct {
    const char *gateway;
    bool may_be_old;
} Speaker;

static bool
takes_theirs(const FhirWord *ours,
             bool is_ours_set,
             const FhirWord *theirs,
             bool is_theirs_set,
             const Speaker *speaker)
{
    if (theirs->wall_us == 0) {
        return false;
    }
    if (ours->wall_us == 0) {
        return true;
    }
    if (g_strcmp0(theirs->gateway, speaker->gateway) == 0) {
        return speaker->may_be_old && theirs->wall_us > ours->wall_us;
    }
    if (is_ours_set != is_theirs_set) {
        return is_theirs_set;
    }
    return theirs->wall_us > ours->wall_us ||
           (theirs->wall_us == ours->wall_us && g_strcmp0(theirs->gateway, ours->gateway) > 0);
}

static void
word_take(FhirWord *ours, const FhirWord *theirs)
{
    word_clear(ours);
    ours->value = g_strdup(theirs->value);
    ours->gateway = g_strdup(theirs->gateway);
    ours->wall_us = theirs->wall_us;
}

/* True when ours says something that theirs does not. */
static bool
merge_word(FhirWord *ours, const FhirWord *theirs, const Speaker *speaker)
{
    if (takes_theirs(ours, ours->value != NULL, theirs, theirs->value != NULL, speaker)) {
        word_take(ours, theirs);
        return false;
    }
    return ours->wall_us != theirs->wall_us || g_strcmp0(ours->value, theirs->value) != 0;
}

static bool
merge_patient(FhirTold *self, const FhirTold *theirs, const Speaker *speaker)
{
    if (takes_theirs(&self->patient,
                     self->subject != NULL,
                     &theirs->patient,
                     theirs->subject != NULL,
                     speaker)) {
        word_take(&self->patient, &theirs->patient);
        g_clear_pointer(&self->subject, json_object_unref);
        self->subject = theirs->subject == NULL ? NULL : json_object_ref(theirs->subject);
        return false;
    }
    return self->patient.wall_us != theirs->patient.wall_us;
}

static const FhirWord *
find_pass(const GPtrArray *zones, int64_t start_wall_us)
{
    const FhirWord *nearest = NULL;
    int64_t best_us = SAME_PASS_US;

    for (guint i = 0; start_wall_us != 0 && i < zones->len; i++) {
        const FhirWord *zone = zones->pdata[i];
        const int64_t away_us = ABS(zone->start_wall_us - start_wall_us);
        if (zone->start_wall_us != 0 && away_us <= best_us) {
            nearest = zone;
            best_us = away_us;
        }
    }
    return nearest;
}

bool
fhir_told_merge(FhirTold *self, const FhirTold *theirs, const char *gateway)
{
    const Speaker speaker = { .gateway = gateway, .may_be_old = self->may_be_old };
    bool is_newer = merge_patient(self, theirs, &speaker);

    for (guint i = 0; i < theirs->later->len; i++) {
        g_ptr_array_add(self->later, json_object_ref(theirs->later->pdata[i]));
    }
    is_newer = merge_word(&self->operator_name, &theirs->operator_name, &speaker) || is_newer;
    is_newer = merge_word(&self->note, &theirs->note, &speaker) || is_newer;
    is_newer = merge_word(&self->reaction, &theirs->reaction, &speaker) || is_newer;
    is_newer = merge_word(&self->order, &theirs->order, &speaker) || is_newer;
    for (guint i = 0; i < self->zones->len; i++) {
        FhirWord *zone = self->zones->pdata[i];
        const FhirWord *other = find_pass(theirs->zones, zone->start_wall_us);
        if (other != NULL) {
            (void)merge_word(zone, other, &speaker);
        }
    }
    return is_newer;
}

static void
add_instant(JsonObject *extension, const char *name, int64_t wall_us)
{
    JsonObject *inner = fhir_extension_new(name);

    fhir_json_add_time(inner, "valueInstant", wall_us);
    fhir_json_append(extension, "extension", inner);
}

/* @value: of a word that no element of the Procedure has as it was said, else NULL. */
static void
write_word(JsonObject *procedure, const char *field, const FhirWord *word, const char *value)
{
    if (word->wall_us == 0) {
        return;
    }
    JsonObject *extension = fhir_extension_new(SAID);
    fhir_json_append(
        extension, "extension", fhir_extension_new_text("field", "valueString", field));
    fhir_json_append(
        extension, "extension", fhir_extension_new_text("gateway", "valueString", word->gateway));
    add_instant(extension, "at", word->wall_us);
    if (word->start_wall_us != 0) {
        add_instant(extension, "pass", word->start_wall_us);
    }
    if (value != NULL) {
        fhir_json_append(
            extension, "extension", fhir_extension_new_text("value", "valueString", value));
    }
    fhir_json_append(procedure, "extension", extension);
}

static void
drop_extensions(JsonObject *procedure)
{
    JsonArray *extensions = fhir_json_find_array(procedure, "extension");

    for (guint i = extensions == NULL ? 0 : json_array_get_length(extensions); i > 0; i--) {
        JsonObject *extension = fhir_json_at(extensions, i - 1);
        if (g_strcmp0(fhir_json_find_text(extension, "url"), SAID) == 0) {
            json_array_remove_element(extensions, i - 1);
        }
    }
    if (extensions != NULL && json_array_get_length(extensions) == 0) {
        json_object_remove_member(procedure, "extension");
    }
}

/* Where @order names a resource that a treatment can be part of. */
static bool
is_reference(const char *order)
{
    static const char *const types[] = { "ServiceRequest/", "CarePlan/" };

    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        if (g_str_has_prefix(order, types[i]) && fhir_id_is_valid(order + strlen(types[i]))) {
            return true;
        }
    }
    return false;
}

static JsonObject *
order_reference_new(const char *order, const char *order_system)
{
    JsonObject *reference = json_object_new();

    if (is_reference(order)) {
        fhir_json_add_text(reference, "reference", order);
    } else {
        fhir_json_add_text(reference, "type", "ServiceRequest");
        fhir_json_add(reference, "identifier", fhir_identifier_new(order_system, order));
    }
    return reference;
}

void
fhir_told_write(const FhirTold *self, const char *order_system, JsonObject *procedure)
{
    drop_extensions(procedure);
    json_object_remove_member(procedure, "basedOn");
    json_object_remove_member(procedure, "performer");
    json_object_remove_member(procedure, "note");
    if (self->subject != NULL) {
        json_object_set_object_member(procedure, "subject", json_object_ref(self->subject));
    }
    if (self->operator_name.value != NULL) {
        JsonObject *actor = json_object_new();
        JsonObject *performer = json_object_new();
        fhir_json_add_text(actor, "display", self->operator_name.value);
        fhir_json_add(performer, "actor", actor);
        fhir_json_add_alone(procedure, "performer", performer);
    }
    if (self->note.value != NULL) {
        JsonObject *note = json_object_new();
        fhir_json_add_time(note, "time", self->note.wall_us);
        fhir_json_add_text(note, "text", self->note.value);
        fhir_json_add_alone(procedure, "note", note);
    }
    if (self->order.value != NULL) {
        fhir_json_add_alone(
            procedure, "basedOn", order_reference_new(self->order.value, order_system));
    }
    write_word(procedure, "patient", &self->patient, NULL);
    write_word(procedure, "operator", &self->operator_name, NULL);
    write_word(procedure, "note", &self->note, NULL);
    write_word(procedure, "reaction", &self->reaction, self->reaction.value);
    write_word(procedure, "order", &self->order, self->order.value);
    for (guint i = 0; i < self->zones->len; i++) {
        const FhirWord *zone = self->zones->pdata[i];
        if (zone->start_wall_us != 0) {
            write_word(procedure, "zone", zone, zone->value);
        }
    }
    for (guint i = 0; i < self->later->len; i++) {
        fhir_json_append(procedure, "extension", json_object_ref(self->later->pdata[i]));
    }
}
