/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "store/db.h"

/*
 * The hash chain of the journal, as journal.proto describes it. An entry enters by the hash
 * of its frame and the salted hash of its content, so that the content can be erased and
 * the chain still verifies (F20).
 */
#define PD_CHAIN_HASH_SIZE 32u
#define PD_CHAIN_SALT_SIZE 32u

/** Hash of a salt and an entry's bytes. */
void pd_chain_hash_content(const uint8_t *salt,
                           size_t n_salt,
                           const uint8_t *entry,
                           size_t n_entry,
                           uint8_t hash_out[PD_CHAIN_HASH_SIZE]);

/**
 * The entry without its content. Owns: the caller's.
 *
 * Errors: NULL: these bytes are no entry.
 */
GBytes *pd_chain_dup_frame(const uint8_t *entry, size_t n_entry);

/** Hash of the next link. @frame: as pd_chain_dup_frame() gives it. */
void pd_chain_link(const uint8_t before[PD_CHAIN_HASH_SIZE],
                   GBytes *frame,
                   uint32_t kind,
                   const uint8_t content[PD_CHAIN_HASH_SIZE],
                   uint8_t hash_out[PD_CHAIN_HASH_SIZE]);

/**
 * Make the chain of schema 1 anew as that of schema 2, in the caller's transaction. A link
 * that did not fit before does not fit afterwards either.
 */
bool pd_chain_renew(PdDb *db, GError **error);
