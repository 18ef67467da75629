/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what of a delivery goes into the FHIR files of a set. There is no server to ask
 * what it has, so what was written of a session before is kept as the sink's note: which
 * Observations there are, by whom the record is, whether it was erased.
 */
#include "sync/directory_fhir.h"

#include "lib/dict.h"
#include "sync/fhir_json.h"
#include "sync/fhir_map.h"
#include "sync/fhir_settings.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A resource a line, "TYPE/ID SESSION JSON", in the order of the deliveries. */
#define WORK SYNC_SPOOL_WORK "resources.ndjson"

#define N_UUID ((gsize)36)

#define NOTE_ZONE   "zone "
#define NOTE_MERIT  "merit "
#define NOTE_ERASED "erased"

static const char *const types[] = { "Device", "Procedure", "Observation", "Provenance" };

struct SyncDirectoryFhir {
    FhirSettings *settings; /* owned */
    FhirMapping mapping;
};

/* What was written of a session. */
typedef struct {
    GHashTable *zones; /* owned; ids of Observations */
    FhirMerit merit;   /* owned; gateway NULL while there is no Procedure */
    bool is_erased;
} Written;

/* One delivery on its way into the set. */
typedef struct {
    const FhirMapping *mapping;   /* borrowed */
    const SyncDelivery *delivery; /* borrowed */
    Written *written;             /* borrowed */
    GString *lines;               /* owned */
} Putting;

bool
sync_directory_fhir_new(SyncConfig *config, SyncDirectoryFhir **out, GError **error)
{
    static const char *const words[] = { "no", "yes", NULL };
    guint index = 0;

    *out = NULL;
    if (!sync_config_get_choice(config, "directory", "fhir", words, 0, &index, error)) {
        return false;
    }
    if (index == 0) {
        return true;
    }
    FhirSettings *settings = fhir_settings_new_for_files(config, error);
    if (settings == NULL) {
        return false;
    }
    *out = g_new0(SyncDirectoryFhir, 1);
    (*out)->settings = settings;
    (*out)->mapping = (FhirMapping){ .codes = settings->codes,
                                     .order_system = settings->order_system,
                                     .is_test = settings->is_test };
    return true;
}

void
sync_directory_fhir_free(SyncDirectoryFhir *self)
{
    if (self != NULL) {
        fhir_settings_free(self->settings);
        g_free(self);
    }
}

static void
read_merit(FhirMerit *merit, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 3);

    if (g_strv_length(words) == 3) {
        merit->n_settled = g_ascii_strtoll(words[0], NULL, 10);
        merit->wall_us = g_ascii_strtoll(words[1], NULL, 10);
        g_free(merit->gateway);
        merit->gateway = g_strdup(words[2]);
    }
}

static void
read_note(Written *self, const char *note)
{
    g_auto(GStrv) lines = g_strsplit(note != NULL ? note : "", "\n", -1);

    self->zones = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (char **line = lines; *line != NULL; line++) {
        if (g_str_has_prefix(*line, NOTE_ZONE)) {
            g_hash_table_add(self->zones, g_strdup(*line + strlen(NOTE_ZONE)));
        } else if (g_str_has_prefix(*line, NOTE_MERIT)) {
            read_merit(&self->merit, *line + strlen(NOTE_MERIT));
        } else if (strcmp(*line, NOTE_ERASED) == 0) {
            self->is_erased = true;
        }
    }
}

static char *
write_note(const Written *self)
{
    GString *note = g_string_new(NULL);
    GHashTableIter iter;
    gpointer id = NULL;

    g_hash_table_iter_init(&iter, self->zones);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        g_string_append_printf(note, NOTE_ZONE "%s\n", (const char *)id);
    }
    if (self->merit.gateway != NULL) {
        g_string_append_printf(note,
                               NOTE_MERIT "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s\n",
                               self->merit.n_settled,
                               self->merit.wall_us,
                               self->merit.gateway);
    }
    g_string_append(note, self->is_erased ? NOTE_ERASED "\n" : "");
    return g_string_free(note, FALSE);
}

static void
put(const Putting *self, const FhirResource *resource)
{
    g_autofree char *json = fhir_json_print(resource->json);

    g_string_append_printf(
        self->lines, "%s/%s %s %s\n", resource->type, resource->id, self->delivery->session, json);
}

/* Observations of before that are not among @zones. */
static void
withdraw_zones(const Putting *self, const GPtrArray *zones, JsonObject *subject, bool is_erased)
{
    g_autoptr(GList) ids = g_hash_table_get_keys(self->written->zones);

    for (const GList *item = ids; item != NULL; item = item->next) {
        bool is_there = false;
        for (guint i = 0; zones != NULL && i < zones->len; i++) {
            const FhirResource *zone = zones->pdata[i];
            is_there = is_there || strcmp(zone->id, item->data) == 0;
        }
        if (!is_there) {
            g_autoptr(FhirResource) gone = fhir_map_withdrawn_observation(
                self->mapping, self->delivery->session, item->data, subject, is_erased);
            put(self, gone);
        }
    }
}

static void
withdraw(const Putting *self, bool is_erased)
{
    g_autoptr(FhirResource) procedure =
        fhir_map_withdrawn_procedure(self->mapping, self->delivery->session, is_erased);

    put(self, procedure);
    withdraw_zones(self, NULL, NULL, is_erased);
}

static void
put_session(const Putting *self, JsonObject *subject)
{
    const SyncDelivery *delivery = self->delivery;
    g_autoptr(FhirTold) told = fhir_told_of_delivery(delivery, subject);
    g_autoptr(GPtrArray) devices = fhir_map_devices(self->mapping, delivery);
    g_autoptr(GPtrArray) zones = fhir_map_observations(self->mapping, delivery, told, devices);
    g_autoptr(FhirResource) procedure = fhir_map_procedure(self->mapping, delivery, told, devices);

    for (guint i = 0; i < devices->len; i++) {
        put(self, devices->pdata[i]);
    }
    put(self, procedure);
    for (guint i = 0; i < zones->len; i++) {
        put(self, zones->pdata[i]);
    }
    withdraw_zones(self, zones, subject, false);
    for (guint i = 0; i < zones->len; i++) {
        const FhirResource *zone = zones->pdata[i];
        g_hash_table_add(self->written->zones, g_strdup(zone->id));
    }
}

/* The state of this gateway counts, or that of another which was written before. */
static void
put_best(const Putting *self, JsonObject *subject)
{
    FhirMerit ours = fhir_merit_of_delivery(self->delivery);
    FhirMerit *theirs = &self->written->merit;

    if (theirs->gateway == NULL || fhir_merit_wins(&ours, theirs)) {
        put_session(self, subject);
        fhir_merit_clear(theirs);
        *theirs = ours;
    } else {
        fhir_merit_clear(&ours);
    }
    g_autoptr(FhirResource) provenance = fhir_map_provenance(self->mapping, self->delivery);
    if (provenance != NULL) {
        put(self, provenance);
    }
}

static void
put_delivery(const Putting *self, const FhirSettings *settings)
{
    Written *written = self->written;
    const bool is_there = written->merit.gateway != NULL;

    if (self->delivery->is_erased) {
        withdraw(self, true);
        written->is_erased = true;
        return;
    }
    if (written->is_erased) {
        return;
    }
    const char *patient = cli_dict_get_text(self->delivery->state, "patient");
    g_autoptr(JsonObject) subject =
        patient != NULL ? fhir_settings_subject(settings, patient) : NULL;
    if (subject != NULL) {
        put_best(self, subject);
        return;
    }
    if (patient != NULL) {
        g_warning("session %s: its patient reference cannot be the id of a Patient, so the FHIR "
                  "files leave it out; correct it with: pentelctl annotate",
                  self->delivery->session);
    }
    if (is_there) {
        withdraw(self, false);
    }
}

bool
sync_directory_fhir_append(const SyncDirectoryFhir *self,
                           SyncSpool *spool,
                           const SyncDelivery *delivery,
                           char **note_out,
                           GError **error)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    Written written = { 0 };
    const Putting putting = {
        .mapping = &self->mapping, .delivery = delivery, .written = &written, .lines = lines
    };

    read_note(&written, delivery->note);
    put_delivery(&putting, self->settings);
    *note_out = write_note(&written);
    g_hash_table_unref(written.zones);
    fhir_merit_clear(&written.merit);
    return lines->len == 0 || sync_spool_append(spool, WORK, lines->str, lines->len, error);
}

/* Where the last state of a resource stands in the work file. */
typedef struct {
    char *name;    /* owned; TYPE/ID */
    char *session; /* owned; UUID */
    off_t at;      /* of its JSON */
    gsize n_bytes;
} Place;

static void
place_free(gpointer data)
{
    Place *self = data;

    g_free(self->name);
    g_free(self->session);
    g_free(self);
}

static int
compare_places(gconstpointer a, gconstpointer b)
{
    const Place *first = *(const Place *const *)a;
    const Place *second = *(const Place *const *)b;

    return first->at < second->at ? -1 : first->at > second->at;
}

static void
note_place(GHashTable *places, const char *line, gsize n_bytes, off_t at)
{
    const char *blank = memchr(line, ' ', n_bytes);
    const gsize n_name = blank != NULL ? (gsize)(blank - line) : n_bytes;
    const gsize n_head = n_name + 1 + N_UUID + 1;

    if (n_head >= n_bytes) {
        return;
    }
    Place *place = g_new0(Place, 1);
    place->name = g_strndup(line, n_name);
    place->session = g_strndup(blank + 1, N_UUID);
    place->at = at + (off_t)n_head;
    place->n_bytes = n_bytes - n_head;
    g_hash_table_replace(places, place->name, place);
}

/* Owns: name to Place; borrowed from the caller's is @fd. */
static GHashTable *
find_places(int fd)
{
    GHashTable *places = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, place_free);
    const int own = dup(fd);
    FILE *file = own >= 0 ? fdopen(own, "r") : NULL;
    char *line = NULL;
    size_t n_room = 0;
    ssize_t n = 0;
    off_t at = 0;

    if (file == NULL) {
        return places;
    }
    rewind(file);
    while ((n = getline(&line, &n_room, file)) > 0) {
        note_place(places, line, (gsize)n, at);
        at += n;
    }
    free(line);
    (void)fclose(file);
    return places;
}

static bool
copy_resource(SyncSpool *spool, int fd, const Place *place, GError **error)
{
    g_autofree char *bytes = g_malloc(place->n_bytes);
    g_autofree char *type = g_strndup(place->name, strcspn(place->name, "/"));
    g_autofree char *file = g_strconcat(type, ".ndjson", NULL);

    if (pread(fd, bytes, place->n_bytes, place->at) != (ssize_t)place->n_bytes) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "%s: cannot be read back; see that the medium is sound",
                    WORK);
        return false;
    }
    return sync_spool_append(spool, file, bytes, place->n_bytes, error);
}

/* Every delivery puts the Procedure, then all Observations: one from before it is of a delivery
 * whose note was lost with a kill, so that nobody withdrew it. */
static bool
is_stale(GHashTable *places, const Place *place)
{
    g_autofree char *name = g_strconcat("Procedure/", place->session, NULL);
    const Place *procedure = g_hash_table_lookup(places, name);

    return g_str_has_prefix(place->name, "Observation/") && procedure != NULL &&
           place->at < procedure->at;
}

/* As they stand in the file. Owns: the caller's, of borrowed ones. */
static GPtrArray *
list_places(GHashTable *places)
{
    GPtrArray *order = g_ptr_array_new();
    GHashTableIter iter;
    gpointer place = NULL;

    g_hash_table_iter_init(&iter, places);
    while (g_hash_table_iter_next(&iter, NULL, &place)) {
        if (!is_stale(places, place)) {
            g_ptr_array_add(order, place);
        }
    }
    g_ptr_array_sort(order, compare_places);
    return order;
}

bool
sync_directory_fhir_finish(SyncSpool *spool, GError **error)
{
    const int fd = sync_spool_get_fd(spool, WORK);
    bool is_good = true;

    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *file = g_strconcat(types[i], ".ndjson", NULL);
        if (!sync_spool_empty(spool, file, error)) {
            return false;
        }
    }
    if (fd < 0) {
        return true;
    }
    g_autoptr(GHashTable) places = find_places(fd);
    g_autoptr(GPtrArray) order = list_places(places);
    for (guint i = 0; is_good && i < order->len; i++) {
        is_good = copy_resource(spool, fd, order->pdata[i], error);
    }
    return is_good;
}
