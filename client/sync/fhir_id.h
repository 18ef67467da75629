/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

#include <stdbool.h>

/*
 * Ids of resources: the same on every gateway and at every try, so that whatever is sent
 * twice is there once. A Procedure has the id of its session.
 */

/**
 * UUIDv5 of the NULL-terminated words after @space, each ended by a zero byte.
 *
 * @space: UUID as text. Owns: the caller's; NULL when @space is no UUID.
 */
char *fhir_id_new(const char *space, ...) G_GNUC_NULL_TERMINATED;

/** Whether FHIR takes it for the id of a resource: letters, digits, - and ., 1 to 64 of them. */
bool fhir_id_is_valid(const char *text);

/** Of a pen, by its serial. Owns: the caller's. */
char *fhir_id_pen(const char *serial);

/** Of a cartridge that says who it is. Owns: the caller's. */
char *fhir_id_cartridge(const char *cartridge);
