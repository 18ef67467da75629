/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * SHA-1 (FIPS 180-4) of a message that fits one block: what UUIDv5 asks for, here
 * because core links to nothing that has it.
 */
#include "core/sha1.h"

#include "core/record.h"

#include <string.h>

#define SHA1_BLOCK_SIZE 64u
#define SHA1_SHORT_MAX  55u
#define UUID_NAME_SIZE  12u

static uint32_t
rotate_left(uint32_t value, unsigned n_bits)
{
    return value << n_bits | value >> (32u - n_bits);
}

static void
put_be(uint8_t *bytes, size_t n_bytes, uint64_t value)
{
    for (size_t i = 0; i < n_bytes; i++) {
        bytes[n_bytes - 1 - i] = (uint8_t)(value >> 8 * i);
    }
}

static void
expand_block(const uint8_t block[SHA1_BLOCK_SIZE], uint32_t words[80])
{
    for (size_t i = 0; i < 16; i++) {
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (size_t i = 16; i < 80; i++) {
        words[i] = rotate_left(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
}

static uint32_t
mix(size_t round, const uint32_t state[5])
{
    if (round < 20) {
        return ((state[1] & state[2]) | (~state[1] & state[3])) + 0x5a827999u;
    }
    if (round < 40) {
        return (state[1] ^ state[2] ^ state[3]) + 0x6ed9eba1u;
    }
    if (round < 60) {
        return ((state[1] & state[2]) | (state[1] & state[3]) | (state[2] & state[3])) +
               0x8f1bbcdcu;
    }
    return (state[1] ^ state[2] ^ state[3]) + 0xca62c1d6u;
}

void
pen_sha1_short(const uint8_t *bytes, size_t n_bytes, uint8_t digest_out[PEN_SHA1_SIZE])
{
    static const uint32_t initial[5] = {
        0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u,
    };
    const size_t n = n_bytes < SHA1_SHORT_MAX ? n_bytes : SHA1_SHORT_MAX;
    uint8_t block[SHA1_BLOCK_SIZE] = { 0 };
    uint32_t words[80];
    uint32_t state[5];

    memcpy(block, bytes, n);
    block[n] = 0x80u;
    put_be(block + SHA1_BLOCK_SIZE - 8, 8, n * 8u);
    expand_block(block, words);
    memcpy(state, initial, sizeof state);
    for (size_t i = 0; i < 80; i++) {
        const uint32_t next = rotate_left(state[0], 5) + mix(i, state) + state[4] + words[i];
        state[4] = state[3];
        state[3] = state[2];
        state[2] = rotate_left(state[1], 30);
        state[1] = state[0];
        state[0] = next;
    }
    for (size_t i = 0; i < 5; i++) {
        put_be(digest_out + 4 * i, 4, initial[i] + state[i]);
    }
}

void
pen_session_uuid(uint64_t log_id, uint32_t session, uint8_t uuid_out[16])
{
    static const uint8_t name_space[16] = {
        0x88, 0x63, 0x7b, 0x66, 0x0f, 0xea, 0x49, 0x08,
        0x8d, 0x1d, 0xa8, 0x63, 0x88, 0xda, 0x43, 0xa9,
    };
    uint8_t name[sizeof name_space + UUID_NAME_SIZE];
    uint8_t digest[PEN_SHA1_SIZE];

    memcpy(name, name_space, sizeof name_space);
    put_be(name + 16, 8, log_id);
    put_be(name + 24, 4, session);
    pen_sha1_short(name, sizeof name, digest);
    memcpy(uuid_out, digest, 16);
    uuid_out[6] = (uint8_t)((uuid_out[6] & 0x0fu) | 0x50u);
    uuid_out[8] = (uint8_t)((uuid_out[8] & 0x3fu) | 0x80u);
}

void
pen_uuid_format(const uint8_t uuid[16], char text_out[37])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;

    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text_out[at++] = '-';
        }
        text_out[at++] = digits[uuid[i] >> 4];
        text_out[at++] = digits[uuid[i] & 0x0fu];
    }
    text_out[at] = '\0';
}
