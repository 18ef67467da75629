/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Takes a message apart by its wire format alone, changes, drops, doubles or swaps a field,
 * and puts it together again with right lengths. A field that holds bytes is taken for a
 * message, for packed numbers or for plain bytes, by chance.
 */
#include "structure.h"

#include <stdbool.h>
#include <string.h>

#define FIELDS_MAX  64u
#define MESSAGE_MAX 2048u
#define DEPTH_MAX   3u

typedef struct {
    const uint8_t *start; /* of the tag */
    size_t n;             /* tag and value */
    size_t n_tag;
    size_t n_head; /* tag, and length of a value that has one */
    unsigned int wire;
} Field;

static uint64_t
draw(uint64_t *luck)
{
    *luck += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *luck;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Returns its length, 0 when there is none. */
static size_t
get_varint(const uint8_t *data, size_t n_data, uint64_t *value_out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n_data && i < 10; i++) {
        value |= (uint64_t)(data[i] & 0x7fu) << (7u * i);
        if (data[i] < 0x80u) {
            *value_out = value;
            return i + 1;
        }
    }
    return 0;
}

static size_t
put_varint(uint8_t *out, uint64_t value)
{
    size_t n = 0;

    while (value > 0x7fu) {
        out[n++] = (uint8_t)(value | 0x80u);
        value >>= 7;
    }
    out[n++] = (uint8_t)value;
    return n;
}

static bool
get_field(const uint8_t *data, size_t n_data, Field *out)
{
    uint64_t tag = 0;
    uint64_t length = 0;
    const size_t n_tag = get_varint(data, n_data, &tag);
    size_t n = 0;

    if (n_tag == 0) {
        return false;
    }
    *out = (Field){ .start = data, .n_tag = n_tag, .n_head = n_tag, .wire = tag & 7u };
    if (out->wire == 0) {
        n = get_varint(data + n_tag, n_data - n_tag, &length);
        out->n = n_tag + n;
        return n > 0;
    }
    if (out->wire == 1 || out->wire == 5) {
        out->n = n_tag + (out->wire == 1 ? 8u : 4u);
        return out->n <= n_data;
    }
    n = out->wire == 2 ? get_varint(data + n_tag, n_data - n_tag, &length) : 0;
    out->n_head = n_tag + n;
    out->n = out->n_head + (size_t)length;
    return n > 0 && length <= n_data - out->n_head;
}

static size_t
get_fields(const uint8_t *data, size_t n_data, Field *fields)
{
    size_t n = 0;
    size_t at = 0;

    while (at < n_data) {
        if (n == FIELDS_MAX || !get_field(data + at, n_data - at, &fields[n])) {
            return 0;
        }
        at += fields[n++].n;
    }
    return n;
}

static uint64_t
pick_number(uint64_t old, uint64_t *luck)
{
    static const uint64_t edges[] = {
        0,
        1,
        2,
        127,
        128,
        255,
        256,
        4095,
        4096,
        10000,
        10001,
        65535,
        1000000,
        INT32_MAX,
        UINT32_MAX,
        0x80000000,
        1ull << 47,
        1ull << 48,
        UINT32_MAX + 1ull,
        INT64_MAX,
        UINT64_MAX,
    };

    switch (draw(luck) % 4u) {
    case 0:
        return edges[draw(luck) % (sizeof edges / sizeof edges[0])];
    case 1:
        return old + 1u - 2u * (draw(luck) % 2u);
    case 2:
        return old ^ (1ull << draw(luck) % 64u);
    default:
        return draw(luck) >> draw(luck) % 64u;
    }
}

static size_t
mutate_bytes(uint8_t *data, size_t n_data, size_t n_max, uint64_t *luck)
{
    if (LLVMFuzzerMutate != NULL && n_max > 0) {
        return LLVMFuzzerMutate(data, n_data, n_max);
    }
    if (n_data > 0) {
        data[draw(luck) % n_data] = (uint8_t)draw(luck);
    }
    return n_data;
}

/* One of the numbers becomes another, comes twice or goes. */
static size_t
mutate_packed(uint8_t *data, size_t n_data, size_t n_max, uint64_t *luck)
{
    uint8_t out[MESSAGE_MAX + 32];
    size_t n_out = 0;
    size_t at = 0;
    const uint64_t which = n_data > 0 ? draw(luck) % n_data : 0;

    while (at < n_data) {
        uint64_t value = 0;
        const size_t n = get_varint(data + at, n_data - at, &value);
        if (n == 0 || n_out + 20 > sizeof out) {
            return n_data;
        }
        const bool is_it = at <= which && which < at + n;
        const uint64_t how = is_it ? draw(luck) % 4u : 4u;
        if (how == 0) {
            at += n;
            continue;
        }
        n_out += put_varint(out + n_out, how == 4 || how == 1 ? value : pick_number(value, luck));
        if (how == 1) {
            n_out += put_varint(out + n_out, value);
        }
        at += n;
    }
    if (n_out > n_max) {
        return n_data;
    }
    memcpy(data, out, n_out);
    return n_out;
}

static size_t mutate(
    uint8_t *data, size_t n_data, size_t n_max, unsigned int depth, uint64_t *luck);

/* A field with another value; returns its length at @out. */
static size_t
change_field(const Field *field, uint8_t *out, size_t n_out, unsigned int depth, uint64_t *luck)
{
    uint8_t value[MESSAGE_MAX];
    uint64_t number = 0;
    size_t n = field->n - field->n_head;

    memcpy(out, field->start, field->n_tag);
    if (field->wire == 0) {
        (void)get_varint(field->start + field->n_tag, n, &number);
        return field->n_tag + put_varint(out + field->n_tag, pick_number(number, luck));
    }
    memcpy(value, field->start + field->n_head, n);
    if (field->wire != 2) {
        (void)mutate_bytes(value, n, n, luck);
        memcpy(out + field->n_tag, value, n);
        return field->n_tag + n;
    }
    const size_t n_room = n_out - field->n_tag - 10u;
    const size_t n_most = n_room < sizeof value ? n_room : sizeof value;
    switch (draw(luck) % 3u) {
    case 0:
        n = mutate(value, n, n_most, depth + 1u, luck);
        break;
    case 1:
        n = mutate_packed(value, n, n_most, luck);
        break;
    default:
        n = mutate_bytes(value, n, n_most, luck);
        break;
    }
    const size_t n_length = put_varint(out + field->n_tag, n);
    memcpy(out + field->n_tag + n_length, value, n);
    return field->n_tag + n_length + n;
}

static size_t
mutate(uint8_t *data, size_t n_data, size_t n_max, unsigned int depth, uint64_t *luck)
{
    uint8_t out[3u * MESSAGE_MAX];
    Field fields[FIELDS_MAX];
    const size_t n_fields =
        n_data > MESSAGE_MAX || depth > DEPTH_MAX ? 0 : get_fields(data, n_data, fields);
    size_t n_out = 0;

    if (n_fields == 0) {
        return mutate_bytes(data, n_data, n_max, luck);
    }
    const size_t which = draw(luck) % n_fields;
    const size_t other = draw(luck) % n_fields;
    const uint64_t how = draw(luck) % 8u;
    for (size_t i = 0; i < n_fields; i++) {
        /* Swapped with another one, dropped, doubled or, mostly, changed. */
        const bool is_swapped = how == 0 && (i == which || i == other);
        const Field *field = &fields[is_swapped ? (i == which ? other : which) : i];
        if (how == 1 && i == which) {
            continue;
        }
        if (how > 2 && i == which) {
            n_out += change_field(field, out + n_out, sizeof out - n_out, depth, luck);
            continue;
        }
        for (int k = how == 2 && i == which ? 2 : 1; k > 0 && n_out + field->n < sizeof out; k--) {
            memcpy(out + n_out, field->start, field->n);
            n_out += field->n;
        }
    }
    if (n_out > n_max) {
        return n_data;
    }
    memcpy(data, out, n_out);
    return n_out;
}

size_t
fuzz_mutate_message(uint8_t *data, size_t n_data, size_t n_max, unsigned int seed)
{
    uint64_t luck = seed;

    return mutate(data, n_data, n_max, 0, &luck);
}
