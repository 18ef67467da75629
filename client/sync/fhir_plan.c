/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides in which order a whole session is written, and what of it need not be: a reader of
 * the server never takes half a session for a whole one, and what is there already stays.
 */
#include "sync/fhir_plan.h"

#include "sync/fhir_find.h"
#include "sync/fhir_json.h"

#include <string.h>

GPtrArray *
fhir_plan_writes_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)fhir_write_free);
}

void
fhir_plan_add(GPtrArray *writes, const FhirResource *resource, const char *if_match)
{
    g_ptr_array_add(writes, fhir_write_new(resource, if_match));
}

char *
fhir_plan_version(FhirJob *job, JsonObject *has)
{
    return has != NULL && fhir_client_get_capability(job->desk->client)->has_versions
               ? fhir_find_version(has)
               : NULL;
}

/* Devices that the server has not, or not so. */
static bool
add_devices(FhirJob *job, const GPtrArray *devices, GPtrArray *writes, GError **error)
{
    for (guint i = 0; i < devices->len; i++) {
        const FhirResource *device = devices->pdata[i];
        g_autoptr(JsonObject) has = NULL;
        g_autofree char *text = fhir_json_print(device->json);
        const char *known = g_hash_table_lookup(job->desk->devices, device->id);
        const char *server_id = known == NULL ? NULL : strchr(known, '\n');

        if (server_id != NULL && strcmp(server_id + 1, text) == 0) {
            g_autofree char *id = g_strndup(known, (gsize)(server_id - known));
            fhir_ids_set(job->ids, "Device", device->id, id);
            continue;
        }
        if (!fhir_find(
                job->desk->client, job->ids, "Device", device->id, &has, job->cancellable, error)) {
            return false;
        }
        if (!fhir_job_is_same(job, device, has)) {
            fhir_plan_add(writes, device, NULL);
        }
    }
    return true;
}

static void
remember_devices(FhirJob *job, const GPtrArray *devices)
{
    for (guint i = 0; i < devices->len; i++) {
        const FhirResource *device = devices->pdata[i];
        const char *server_id = fhir_ids_find(job->ids, "Device", device->id);
        g_autofree char *text = fhir_json_print(device->json);
        g_hash_table_replace(
            job->desk->devices,
            g_strdup(device->id),
            g_strdup_printf("%s\n%s", server_id != NULL ? server_id : device->id, text));
    }
}

static bool
add_observation(FhirJob *job, const FhirResource *observation, GPtrArray *writes, GError **error)
{
    const bool puts = fhir_client_get_capability(job->desk->client)->mode == FHIR_MODE_PUT;
    g_autoptr(JsonObject) found = NULL;
    JsonObject *has = g_hash_table_lookup(job->found_observations, observation->id);

    if (has == NULL && !puts &&
        !fhir_find(job->desk->client,
                   job->ids,
                   "Observation",
                   observation->id,
                   &found,
                   job->cancellable,
                   error)) {
        return false;
    }
    has = has == NULL ? found : has;
    if ((has == NULL || !fhir_map_is_erased(has)) && !fhir_job_is_same(job, observation, has)) {
        fhir_plan_add(writes, observation, NULL);
    }
    return true;
}

static bool
add_observations(FhirJob *job,
                 const GPtrArray *observations,
                 JsonObject *subject,
                 GPtrArray *writes,
                 GError **error)
{
    for (guint i = 0; i < observations->len; i++) {
        if (!add_observation(job, observations->pdata[i], writes, error)) {
            return false;
        }
    }
    return fhir_job_withdraw(job, observations, subject, false, writes, error);
}

bool
fhir_plan_add_reaction(FhirJob *job, const FhirTold *told, GPtrArray *writes, GError **error)
{
    const char *session = job->delivery->session;
    FhirResource *reaction = fhir_map_reaction(&job->desk->mapping, session, told);

    if (reaction != NULL) {
        return add_observation(job, fhir_job_keep(job, reaction), writes, error);
    }
    g_autofree char *id = fhir_map_reaction_id(session);
    return !g_hash_table_contains(job->known_observations, id) ||
           fhir_job_withdraw_one(job, id, told->subject, false, writes, error);
}

bool
fhir_plan_add_provenance(FhirJob *job, GPtrArray *writes, GError **error)
{
    FhirResource *provenance = fhir_map_provenance(&job->desk->mapping, job->delivery);
    bool is_there = false;

    if (provenance == NULL) {
        return true;
    }
    fhir_job_keep(job, provenance);
    if (job->theirs != NULL && !fhir_find_provenance(job->desk->client,
                                                     job->ids,
                                                     provenance,
                                                     job->delivery->session,
                                                     &is_there,
                                                     job->cancellable,
                                                     error)) {
        return false;
    }
    if (!is_there) {
        fhir_plan_add(writes, provenance, NULL);
    }
    return true;
}

bool
fhir_plan_write(FhirJob *job, const GPtrArray *writes, GError **error)
{
    const guint n_max = job->desk->n_entries_max;

    for (guint i = 0; i < writes->len; i += n_max) {
        g_autoptr(GPtrArray) chunk = g_ptr_array_new();
        for (guint k = i; k < writes->len && k < i + n_max; k++) {
            g_ptr_array_add(chunk, writes->pdata[k]);
        }
        if (!fhir_job_write(job, chunk, error)) {
            return false;
        }
    }
    return true;
}

/* The same Procedure, not yet over. */
static const FhirResource *
begin_procedure(FhirJob *job, const FhirResource *procedure)
{
    FhirResource *begun =
        fhir_resource_new(procedure->type, procedure->id, fhir_json_copy(procedure->json));

    json_object_set_string_member(begun->json, "status", FHIR_STATUS_BEGUN);
    return fhir_job_keep(job, begun);
}

typedef struct {
    GPtrArray *devices; /* of FhirWrite */
    GPtrArray *observations;
    GPtrArray *origin;
    const FhirResource *procedure;
    char *version; /* of the Procedure as it was read */
} Plan;

static void
plan_clear(Plan *plan)
{
    g_clear_pointer(&plan->devices, g_ptr_array_unref);
    g_clear_pointer(&plan->observations, g_ptr_array_unref);
    g_clear_pointer(&plan->origin, g_ptr_array_unref);
    g_clear_pointer(&plan->version, g_free);
}

static void
extend(GPtrArray *writes, const GPtrArray *more)
{
    for (guint i = 0; i < more->len; i++) {
        const FhirWrite *write = more->pdata[i];
        fhir_plan_add(writes, write->resource, write->if_match);
    }
}

static bool
write_at_once(FhirJob *job, const Plan *plan, GError **error)
{
    g_autoptr(GPtrArray) writes = fhir_plan_writes_new();

    extend(writes, plan->devices);
    fhir_plan_add(writes, plan->procedure, plan->version);
    extend(writes, plan->observations);
    extend(writes, plan->origin);
    return fhir_job_write(job, writes, error);
}

/* Version of the Procedure that was just begun, so that the end of it hits no other. */
static bool
read_version(FhirJob *job, char **version_out, GError **error)
{
    g_autoptr(JsonObject) has = NULL;

    if (!fhir_find(job->desk->client,
                   job->ids,
                   "Procedure",
                   job->delivery->session,
                   &has,
                   job->cancellable,
                   error)) {
        return false;
    }
    *version_out = fhir_plan_version(job, has);
    return true;
}

static bool
write_in_steps(FhirJob *job, const Plan *plan, GError **error)
{
    g_autoptr(GPtrArray) first = fhir_plan_writes_new();
    g_autoptr(GPtrArray) last = fhir_plan_writes_new();
    g_autofree char *version = NULL;

    extend(first, plan->devices);
    fhir_plan_add(first, begin_procedure(job, plan->procedure), plan->version);
    if (!fhir_plan_write(job, first, error) || !fhir_plan_write(job, plan->observations, error) ||
        !read_version(job, &version, error)) {
        return false;
    }
    extend(last, plan->origin);
    fhir_plan_add(last, plan->procedure, version);
    return fhir_plan_write(job, last, error);
}

static bool
is_whole(FhirJob *job, const Plan *plan)
{
    return plan->devices->len == 0 && plan->observations->len == 0 &&
           fhir_job_is_same(job, plan->procedure, job->theirs);
}

static bool
write_plan(FhirJob *job, const Plan *plan, GError **error)
{
    const FhirCapability *capability = fhir_client_get_capability(job->desk->client);
    const guint n_entries = plan->devices->len + plan->observations->len + plan->origin->len + 1;

    if (is_whole(job, plan)) {
        return fhir_plan_write(job, plan->origin, error);
    }
    if (capability->mode == FHIR_MODE_PUT && capability->has_transaction &&
        n_entries <= job->desk->n_entries_max) {
        return write_at_once(job, plan, error);
    }
    return write_in_steps(job, plan, error);
}

bool
fhir_plan_deliver(FhirJob *job, const FhirTold *told, GError **error)
{
    const FhirMapping *mapping = &job->desk->mapping;
    g_autoptr(GPtrArray) devices = fhir_map_devices(mapping, job->delivery);
    g_autoptr(GPtrArray) observations =
        fhir_map_observations(mapping, job->delivery, told, devices);
    Plan plan = {
        .devices = fhir_plan_writes_new(),
        .observations = fhir_plan_writes_new(),
        .origin = fhir_plan_writes_new(),
        .version = fhir_plan_version(job, job->theirs),
    };

    plan.procedure = fhir_job_keep(job, fhir_map_procedure(mapping, job->delivery, told, devices));
    const bool is_good =
        add_devices(job, devices, plan.devices, error) &&
        add_observations(job, observations, told->subject, plan.observations, error) &&
        fhir_plan_add_provenance(job, plan.origin, error) && write_plan(job, &plan, error) &&
        fhir_job_verify(job, error);
    if (is_good) {
        remember_devices(job, devices);
    }
    /* What was written borrows from them. */
    g_ptr_array_set_size(job->written, 0);
    plan_clear(&plan);
    return is_good;
}
