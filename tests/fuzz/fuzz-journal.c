/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A stream of journal entries, each behind its length, as an export or another gateway may
 * give it: every entry that is read can be written, and says the same again.
 */
#include "fuzz.h"
#include "journal.pb-c.h"
#include "structure.h"

#include <string.h>

static size_t
get_length(const uint8_t *data, size_t n_data, size_t *length_out)
{
    size_t value = 0;

    for (size_t i = 0; i < n_data && i < 4; i++) {
        value |= (size_t)(data[i] & 0x7fu) << (7u * i);
        if (data[i] < 0x80u) {
            *length_out = value;
            return i + 1;
        }
    }
    return 0;
}

static void
take_entry(const uint8_t *data, size_t n_data)
{
    Pentel__V1__JournalEntry *entry = pentel__v1__journal_entry__unpack(NULL, n_data, data);

    if (entry == NULL) {
        return;
    }
    const size_t n_packed = pentel__v1__journal_entry__get_packed_size(entry);
    uint8_t *packed = malloc(n_packed + 1);
    uint8_t *again = malloc(n_packed + 1);
    FUZZ_REQUIRE(packed != NULL && again != NULL);
    FUZZ_REQUIRE(pentel__v1__journal_entry__pack(entry, packed) == n_packed);
    Pentel__V1__JournalEntry *back = pentel__v1__journal_entry__unpack(NULL, n_packed, packed);
    /* protobuf-c reads an unknown field of number 0, if it is spelt at length, only once. */
    if (back != NULL) {
        FUZZ_REQUIRE(back->kind_case == entry->kind_case && back->seq == entry->seq);
        FUZZ_REQUIRE(pentel__v1__journal_entry__get_packed_size(back) == n_packed);
        FUZZ_REQUIRE(pentel__v1__journal_entry__pack(back, again) == n_packed);
        FUZZ_REQUIRE(memcmp(packed, again, n_packed) == 0);
        pentel__v1__journal_entry__free_unpacked(back, NULL);
    }
    pentel__v1__journal_entry__free_unpacked(entry, NULL);
    free(packed);
    free(again);
}

/* The first entry; what follows it stays. */
size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t n_data, size_t n_max, unsigned int seed)
{
    uint8_t entry[1024];
    size_t length = 0;
    const size_t n_head = get_length(data, n_data, &length);

    if (n_head == 0 || length > n_data - n_head || length > 127 || seed % 8u == 0) {
        return LLVMFuzzerMutate != NULL ? LLVMFuzzerMutate(data, n_data, n_max) : n_data;
    }
    memcpy(entry, data + n_head, length);
    const size_t n_new = fuzz_mutate_message(entry, length, 127, seed);
    if (n_data - length + n_new > n_max) {
        return n_data;
    }
    memmove(data + n_head + n_new, data + n_head + length, n_data - n_head - length);
    memcpy(data + n_head, entry, n_new);
    data[0] = (uint8_t)n_new;
    return n_data - length + n_new;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data)
{
    size_t at = 0;
    size_t length = 0;

    for (size_t n = 0; (n = get_length(data + at, n_data - at, &length)) > 0;) {
        at += n;
        const size_t n_entry = length < n_data - at ? length : n_data - at;
        take_entry(data + at, n_entry);
        at += n_entry;
    }
    return 0;
}
