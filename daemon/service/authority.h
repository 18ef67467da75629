/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Who may do what (F9). Trusted uids pass by what the bus says of them, the uploader
 * may read the journal and nothing else, everybody else is polkit's to judge. Denied
 * unless somebody said yes. Main thread only.
 */
typedef struct PdServiceAuthority PdServiceAuthority;

typedef enum {
    PD_SERVICE_ACTION_READ = 0,
    PD_SERVICE_ACTION_READ_JOURNAL,
    PD_SERVICE_ACTION_ENROLL,
    PD_SERVICE_ACTION_ANNOTATE,
    PD_SERVICE_ACTION_ERASE,
    PD_SERVICE_ACTION_BACKUP,
    PD_SERVICE_ACTION_N,
} PdServiceAction;

#define PD_SERVICE_NO_UID UINT32_MAX

typedef struct {
    uint32_t trusted_uids[2]; /* 0 and our own; PD_SERVICE_NO_UID for none */
    uint32_t sync_uid;        /* of pentel-sync, PD_SERVICE_NO_UID when there is none */
    uint32_t polkit_ms;       /* how long polkit may take; 0 = 5000 */
    uint32_t max_clients;     /* that are remembered; 0 = 256 */
} PdServiceAuthorityConfig;

/** Begin. Owns: refs @bus, copies @config. */
PdServiceAuthority *pd_service_authority_new(GDBusConnection *bus,
                                             const PdServiceAuthorityConfig *config);

/** End: checks under way finish with G_IO_ERROR_CANCELLED. */
void pd_service_authority_free(PdServiceAuthority *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdServiceAuthority, pd_service_authority_free)

/**
 * Whether the client with the unique name @sender may do @action.
 *
 * Owns:   @callback gets a GTask without source object, always from the main loop.
 * Errors: (of finish) PD_ERROR_NOT_AUTHORIZED: told no, or polkit is not running.
 *         PD_ERROR_AUTHORIZATION_TIMEOUT: polkit did not answer.
 *         G_IO_ERROR_CANCELLED: the authority was freed: touch nothing of it.
 */
void pd_service_authority_check_async(PdServiceAuthority *self,
                                      const char *sender,
                                      PdServiceAction action,
                                      GAsyncReadyCallback callback,
                                      gpointer user_data);

/** @uid_out: of the client, set when allowed. */
bool pd_service_authority_check_finish(GAsyncResult *result, uint32_t *uid_out, GError **error);

/** Clients that are remembered now. */
uint32_t pd_service_authority_count_clients(const PdServiceAuthority *self);

/** polkit's name of an action. Owns: static. */
const char *pd_service_action_to_string(PdServiceAction action);
