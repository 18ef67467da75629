/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>

/* Our names on a FHIR server. They only have to differ from everybody else's. */
#define FHIR_URL           "https://pentel.invalid/fhir/"
#define FHIR_CODE_SYSTEM   FHIR_URL "CodeSystem/pentel"
#define FHIR_EXTENSION     FHIR_URL "StructureDefinition/"
#define FHIR_GATEWAY       FHIR_URL "sid/gateway"
#define FHIR_SERIAL        FHIR_URL "sid/pen-serial"
#define FHIR_CARTRIDGE     FHIR_URL "sid/cartridge"
#define FHIR_RECEIPT       FHIR_URL "sid/receipt-sha256"
#define FHIR_URI_SYSTEM    "urn:ietf:rfc:3986"
#define FHIR_TAG_ERASED    "erased"
#define FHIR_ABSENT_REASON "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

/*
 * Codes of what we write, and what a clinic adds to them. No published code for microneedling
 * is known to us (clinic-domain.md D2), and SNOMED CT is licensed; so every concept has text
 * and our own code, and a file of the clinic may add codes that it is entitled to use.
 */
typedef struct FhirCodes FhirCodes;

/**
 * Read a code map; NULL for @path gives none.
 *
 * A key file: [code] has our codes, [zone] the clinic's zone names in lower case; the value is
 * SYSTEM|CODE|DISPLAY, several separated by ";".
 * Owns: the caller's. Errors: G_KEY_FILE_ERROR, G_FILE_ERROR; the message names the key.
 */
FhirCodes *fhir_codes_load(const char *path, GError **error);
void fhir_codes_free(FhirCodes *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FhirCodes, fhir_codes_free)

/** CodeableConcept of one of our codes. Owns: the caller's. */
JsonObject *fhir_codes_concept(const FhirCodes *self, const char *code);

/** CodeableConcept of a zone as the clinic calls it. Owns: the caller's. */
JsonObject *fhir_codes_zone(const FhirCodes *self, const char *zone);

/** Coding, Quantity in UCUM, Identifier, Reference, Extension. Owns: the caller's. */
JsonObject *fhir_coding_new(const char *system, const char *code, const char *display);
JsonObject *fhir_quantity_new(double value, const char *unit, const char *ucum);
JsonObject *fhir_identifier_new(const char *system, const char *value);
JsonObject *fhir_uuid_identifier_new(const char *uuid);
JsonObject *fhir_reference_new(const char *type, const char *id);
JsonObject *fhir_extension_new(const char *name);

/** Extension that has one of value[x] with text: @key is valueCode, valueString, valueInstant. */
JsonObject *fhir_extension_new_text(const char *name, const char *key, const char *text);

/** Our top-level extension @name of a resource, NULL when it has none. Owns: borrowed. */
JsonObject *fhir_extension_find(JsonObject *resource, const char *name);

/** CodeableConcept of a code of somebody else's system. Owns: the caller's. */
JsonObject *fhir_concept_new(const char *system, const char *code, const char *display);

/** True when the resource has one of our codes as Observation.code or Procedure.code. */
bool fhir_codes_is_ours(JsonObject *resource);
