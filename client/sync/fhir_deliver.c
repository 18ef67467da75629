/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what of a session is written: everything when this gateway's record is the best
 * there is, else only what people said here and where it was heard; and what a failure means.
 */
#include "sync/fhir_deliver.h"

#include "lib/dict.h"
#include "sync/clean.h"
#include "sync/fhir_find.h"
#include "sync/fhir_id.h"
#include "sync/fhir_job.h"
#include "sync/fhir_json.h"
#include "sync/fhir_outcome.h"
#include "sync/fhir_plan.h"

#include <string.h>

/* A whole delivery is over in as many times the time that one request may take. */
#define DELIVERY_TIMEOUTS 10u

/* Enough to halve the largest Bundle that can be configured down to single entries. */
#define ATTEMPTS 10

/* Procedure.subject; NULL without an error when nobody said who the patient is. */
static bool
find_subject(FhirJob *job, JsonObject **subject_out, GError **error)
{
    const FhirSettings *settings = job->desk->settings;
    const char *patient = cli_dict_get_text(job->delivery->state, "patient");

    *subject_out = NULL;
    if (patient == NULL) {
        return true;
    }
    *subject_out =
        settings->patient == FHIR_PATIENT_SEARCH
            ? fhir_find_patient(
                  job->desk->client, settings->patient_system, patient, job->cancellable, error)
            : fhir_settings_subject(settings, patient);
    if (*subject_out == NULL && settings->patient != FHIR_PATIENT_SEARCH) {
        g_set_error_literal(error,
                            FHIR_ERROR,
                            FHIR_ERROR_REJECTED,
                            "this session's patient reference cannot be the id of a Patient; "
                            "correct it with: pentelctl annotate");
    }
    return *subject_out != NULL;
}

/* Another gateway has more: what people said here is added to its Procedure, and that this
 * gateway heard it too. */
static bool
deliver_lesser(FhirJob *job, const FhirTold *told, bool is_newer, GError **error)
{
    g_autoptr(GPtrArray) writes = fhir_plan_writes_new();
    g_autofree char *version = fhir_plan_version(job, job->theirs);

    /* Ahead of the Procedure, which says that it is known: a try that ends between the two is
     * made again. */
    if (!fhir_plan_add_reaction(job, told, writes, error)) {
        return false;
    }
    if (is_newer) {
        FhirResource *procedure = fhir_resource_new(
            "Procedure", job->delivery->session, fhir_job_unversioned(job->theirs));
        fhir_told_write(told, job->desk->mapping.order_system, procedure->json);
        fhir_plan_add(writes, fhir_job_keep(job, procedure), version);
    }
    return fhir_plan_add_provenance(job, writes, error) && fhir_plan_write(job, writes, error) &&
           fhir_job_verify(job, error);
}

static bool
withdraw(FhirJob *job, bool is_erased, GError **error)
{
    g_autoptr(GPtrArray) first = fhir_plan_writes_new();
    g_autoptr(GPtrArray) zones = fhir_plan_writes_new();
    g_autofree char *version = fhir_plan_version(job, job->theirs);
    FhirResource *procedure =
        fhir_map_withdrawn_procedure(&job->desk->mapping, job->delivery->session, is_erased);

    fhir_job_keep(job, procedure);
    /* Who erased it first, and how it is tagged otherwise, stays. */
    const bool is_done = job->theirs != NULL && fhir_map_is_erased(job->theirs);
    if (!is_done && !fhir_job_is_same(job, procedure, job->theirs)) {
        fhir_plan_add(first, procedure, version);
    }
    /* The Procedure first: its tag keeps the other gateways from writing zones again. */
    return fhir_job_withdraw(job, NULL, NULL, is_erased, zones, error) &&
           fhir_plan_write(job, first, error) && fhir_plan_write(job, zones, error) &&
           fhir_job_verify(job, error);
}

/* Nobody knows the patient (any more): what the server has under a wrong one must not stay. */
static bool
take_back(FhirJob *job, GError **error)
{
    if (job->theirs != NULL && !withdraw(job, false, error)) {
        return false;
    }
    g_set_error_literal(error, FHIR_ERROR, FHIR_ERROR_UNBOUND, "no patient reference");
    return false;
}

static bool
deliver_state(FhirJob *job, GError **error)
{
    const char *gateway = job->delivery->gateway;
    g_autoptr(JsonObject) subject = NULL;

    if (job->theirs != NULL && fhir_map_is_erased(job->theirs)) {
        g_set_error_literal(error,
                            FHIR_ERROR,
                            FHIR_ERROR_REJECTED,
                            "the session was erased on the server and is not written again");
        return false;
    }
    if (!find_subject(job, &subject, error)) {
        return false;
    }
    g_autoptr(FhirTold) ours = fhir_told_of_delivery(job->delivery, subject);
    g_autoptr(FhirTold) theirs = fhir_told_of_procedure(job->theirs);
    FhirMerit our_merit = fhir_merit_of_delivery(job->delivery);
    FhirMerit their_merit = fhir_merit_of_procedure(job->theirs);
    const bool is_newer = fhir_told_merge(ours, theirs, gateway);
    const bool is_best = fhir_merit_wins(&our_merit, &their_merit);
    fhir_merit_clear(&our_merit);
    fhir_merit_clear(&their_merit);

    if (ours->subject == NULL) {
        return take_back(job, error);
    }
    if (ours->reaction.wall_us != 0) {
        /* Also one that was taken back, on a server where it cannot be searched for. */
        g_hash_table_add(job->known_observations, fhir_map_reaction_id(job->delivery->session));
    }
    return is_best ? fhir_plan_deliver(job, ours, error)
                   : deliver_lesser(job, ours, is_newer, error);
}

static bool
deliver_erasure(FhirJob *job, GError **error)
{
    /* Passes of no zone and a reaction have Observations that need no search. */
    g_hash_table_add(job->known_observations,
                     fhir_id_new(job->delivery->session, "zone", "", NULL));
    g_hash_table_add(job->known_observations, fhir_map_reaction_id(job->delivery->session));
    return withdraw(job, true, error);
}

static void
set_outcome(FhirDesk *desk, const SyncDelivery *delivery, SyncOutcome *outcome, GError *error)
{
    g_autofree char *words = sync_clean_words(&delivery, 1, error->message, SYNC_WORDS_MAX);

    if (g_error_matches(error, FHIR_ERROR, FHIR_ERROR_UNBOUND)) {
        sync_outcome_set(outcome, SYNC_UNBOUND, "%s", words);
    } else if (g_error_matches(error, FHIR_ERROR, FHIR_ERROR_REJECTED) ||
               g_error_matches(error, FHIR_ERROR, FHIR_ERROR_TOO_LARGE)) {
        sync_outcome_set(outcome, SYNC_SET_ASIDE, "%s", words);
    } else if (g_error_matches(error, FHIR_ERROR, FHIR_ERROR_ACCESS)) {
        sync_outcome_set(outcome,
                         SYNC_RETRY,
                         "%s; the credential must be allowed to write Procedure, Device, "
                         "Observation and Provenance",
                         words);
    } else {
        sync_outcome_set(outcome, SYNC_RETRY, "%s", words);
        outcome->after_ms = fhir_client_get_retry_after_ms(desk->client);
    }
}

/* True when another try may go better at once. */
static bool
may_try_again(FhirDesk *desk, const GError *error)
{
    if (g_error_matches(error, FHIR_ERROR, FHIR_ERROR_TOO_LARGE) && desk->n_entries_max > 1) {
        desk->n_entries_max /= 2;
        return true;
    }
    return g_error_matches(error, FHIR_ERROR, FHIR_ERROR_CONFLICT);
}

/* When to look again, as nothing kept another gateway from writing at the same time: it may have
 * seen no Procedure before ours was there, and written its own over it since. 0: never. */
static uint32_t
second_look_ms(FhirJob *job)
{
    g_autofree char *guard = fhir_plan_version(job, job->theirs);

    return job->has_written && guard == NULL && !job->delivery->is_carried
               ? job->desk->settings->timeout_s * 1000u * DELIVERY_TIMEOUTS
               : 0;
}

/* False when the outcome is set. */
static bool
try_once(FhirDesk *desk,
         const SyncDelivery *delivery,
         SyncOutcome *outcome,
         GCancellable *cancellable,
         bool is_last)
{
    FhirJob job = { 0 };
    g_autoptr(GError) error = NULL;

    fhir_job_init(&job, desk, delivery, cancellable);
    const bool is_erasure = delivery->is_erased || delivery->state == NULL;
    const bool is_good = fhir_job_look(&job, &error) &&
                         (is_erasure ? deliver_erasure(&job, &error) : deliver_state(&job, &error));
    g_free(outcome->note);
    outcome->note = fhir_job_note(&job);
    outcome->after_ms = MAX(outcome->after_ms, second_look_ms(&job));
    fhir_job_clear(&job);
    if (is_good) {
        sync_outcome_set(outcome, SYNC_DELIVERED, "%s", "");
        return false;
    }
    /* What we believe of the server may be why it failed. */
    g_hash_table_remove_all(desk->devices);
    if (may_try_again(desk, error) && !is_last) {
        return true;
    }
    set_outcome(desk, delivery, outcome, error);
    return false;
}

void
fhir_deliver(FhirDesk *desk,
             const SyncDelivery *delivery,
             SyncOutcome *outcome,
             GCancellable *cancellable)
{
    int n_tried = 1;

    while (try_once(desk, delivery, outcome, cancellable, n_tried == ATTEMPTS)) {
        n_tried++;
    }
}
