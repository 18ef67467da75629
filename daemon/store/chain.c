/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What is hashed of a journal entry, and the one-time change from the first form.
 */
#include "store/chain.h"

#include "core/wire.h"
#include "journal.pb-c.h"

#include <string.h>

typedef struct {
    const void *bytes;
    size_t n_bytes;
} Part;

static void
hash_parts(const Part *parts, size_t n_parts, uint8_t hash_out[PD_CHAIN_HASH_SIZE])
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize n_digest = PD_CHAIN_HASH_SIZE;

    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].n_bytes > 0) {
            g_checksum_update(checksum, parts[i].bytes, (gssize)parts[i].n_bytes);
        }
    }
    g_checksum_get_digest(checksum, hash_out, &n_digest);
}

void
pd_chain_hash_content(const uint8_t *salt,
                      size_t n_salt,
                      const uint8_t *entry,
                      size_t n_entry,
                      uint8_t hash_out[PD_CHAIN_HASH_SIZE])
{
    const Part parts[] = { { salt, n_salt }, { entry, n_entry } };

    hash_parts(parts, G_N_ELEMENTS(parts), hash_out);
}

GBytes *
pd_chain_dup_frame(const uint8_t *entry, size_t n_entry)
{
    Pentel__V1__JournalEntry *whole = pentel__v1__journal_entry__unpack(NULL, n_entry, entry);
    Pentel__V1__JournalEntry frame;

    if (whole == NULL) {
        return NULL;
    }
    pentel__v1__journal_entry__init(&frame);
    frame.seq = whole->seq;
    frame.store_id = whole->store_id;
    frame.wall_us = whole->wall_us;
    frame.wall_synced = whole->wall_synced;
    frame.uid = whole->uid;
    frame.session = whole->session;
    const size_t n_frame = pentel__v1__journal_entry__get_packed_size(&frame);
    uint8_t *bytes = g_malloc(n_frame);
    pentel__v1__journal_entry__pack(&frame, bytes);
    pentel__v1__journal_entry__free_unpacked(whole, NULL);
    return g_bytes_new_take(bytes, n_frame);
}

void
pd_chain_link(const uint8_t before[PD_CHAIN_HASH_SIZE],
              GBytes *frame,
              uint32_t kind,
              const uint8_t content[PD_CHAIN_HASH_SIZE],
              uint8_t hash_out[PD_CHAIN_HASH_SIZE])
{
    gsize n_frame = 0;
    const void *frame_bytes = g_bytes_get_data(frame, &n_frame);
    uint8_t frame_hash[PD_CHAIN_HASH_SIZE];
    uint8_t packed_kind[4];

    pen_wire_put(packed_kind, 4, kind);
    const Part of_frame[] = { { frame_bytes, n_frame }, { packed_kind, sizeof packed_kind } };
    hash_parts(of_frame, G_N_ELEMENTS(of_frame), frame_hash);
    const Part of_link[] = {
        { before, PD_CHAIN_HASH_SIZE },
        { frame_hash, PD_CHAIN_HASH_SIZE },
        { content, PD_CHAIN_HASH_SIZE },
    };
    hash_parts(of_link, G_N_ELEMENTS(of_link), hash_out);
}

/* Both forms of the chain as far as the walk came. */
typedef struct {
    uint8_t old[PD_CHAIN_HASH_SIZE];
    uint8_t new[PD_CHAIN_HASH_SIZE];
} Forms;

static void
renew_one(PdStmt *stmt, Forms *forms)
{
    const uint8_t *salt = sqlite3_column_blob(stmt, 2);
    const uint8_t *entry = sqlite3_column_blob(stmt, 3);
    const size_t n_entry = (size_t)sqlite3_column_bytes(stmt, 3);
    const uint8_t *said = sqlite3_column_blob(stmt, 4);
    uint8_t content[PD_CHAIN_HASH_SIZE];
    uint8_t link[PD_CHAIN_HASH_SIZE];

    pd_chain_hash_content(salt, (size_t)sqlite3_column_bytes(stmt, 2), entry, n_entry, content);
    const Part old_parts[] = { { forms->old, sizeof forms->old }, { content, sizeof content } };
    hash_parts(old_parts, G_N_ELEMENTS(old_parts), link);
    g_autoptr(GBytes) frame = pd_chain_dup_frame(entry, n_entry);
    const bool fits = frame != NULL && sqlite3_column_bytes(stmt, 4) == (int)sizeof link &&
                      memcmp(said, link, sizeof link) == 0;
    memset(forms->old, 0, sizeof forms->old);
    if (sqlite3_column_bytes(stmt, 4) == (int)sizeof forms->old) {
        memcpy(forms->old, said, sizeof forms->old);
    }
    if (fits) {
        pd_chain_link(forms->new, frame, (uint32_t)sqlite3_column_int64(stmt, 1), content, link);
        memcpy(forms->new, link, sizeof link);
    } else {
        memset(forms->new, 0, sizeof forms->new);
    }
}

bool
pd_chain_renew(PdDb *db, GError **error)
{
    g_autoptr(PdStmt) stmt =
        pd_db_query(db, error, "select seq, kind, salt, entry, hash from journal order by seq", "");
    Forms forms = { 0 };
    int got = 0;

    while (stmt != NULL && (got = pd_db_step(db, stmt, error)) > 0) {
        const int64_t seq = sqlite3_column_int64(stmt, 0);
        renew_one(stmt, &forms);
        if (!pd_db_run(db,
                       error,
                       "update journal set hash = ? where seq = ?",
                       "bi",
                       forms.new,
                       sizeof forms.new,
                       seq)) {
            return false;
        }
    }
    return stmt != NULL && got == 0;
}
