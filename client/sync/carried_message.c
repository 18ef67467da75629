/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides what of a file is a delivery: ids that are ids, times that are times, a state that
 * penteld could have sent. What is not is refused alone, with the reason.
 */
#include "sync/carried_message.h"

#include "delivery.pb-c.h"
#include "lib/delimited.h"
#include "lib/dict.h"
#include "sync/error.h"
#include "sync/state_json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_UUID 36u

#define N_GATEWAY_MAX 256u
#define N_SAID_MAX    100000u
#define N_RECORDS_MAX ((uint64_t)64 << 20) /* bytes of one session's */
#define N_ROOM_MAX    ((size_t)96 << 20)   /* what one delivery may take in memory */

#define WALL_MAX_US INT64_C(253402300799000000) /* the year 9999 */

static bool
refuse(GError **error, const char *session, const char *words)
{
    g_set_error(error, SYNC_ERROR, SYNC_ERROR_DATA, "session %.36s: %s", session, words);
    return false;
}

/* A message of 16 MiB can ask for fifty times that. */
static void *
take_room(void *room, size_t n_bytes)
{
    size_t *left = room;

    if (n_bytes > *left) {
        return NULL;
    }
    *left -= n_bytes;
    return malloc(n_bytes);
}

static void
give_back(void *room, void *bytes)
{
    free(bytes);
}

static bool
is_time(int64_t wall_us)
{
    return wall_us >= 0 && wall_us <= WALL_MAX_US;
}

static bool
is_gateway(const char *text)
{
    const gsize length = strlen(text);

    if (length == 0 || length > N_GATEWAY_MAX || !g_utf8_validate(text, -1, NULL)) {
        return false;
    }
    for (gsize i = 0; i < length; i++) {
        if (g_ascii_iscntrl(text[i])) {
            return false;
        }
    }
    return true;
}

/* Those that merging knows; zone:N counts from 1. */
static bool
is_field(const char *text)
{
    static const char *const words[] = { "patient", "operator", "note",   "reaction",
                                         "order",   "zone",     "closed", NULL };

    return g_strv_contains(words, text) ||
           (g_str_has_prefix(text, "zone:") &&
            g_ascii_string_to_unsigned(text + strlen("zone:"), 10, 1, G_MAXUINT32, NULL, NULL));
}

static void
clear_said(gpointer data)
{
    SyncSaid *said = data;

    g_free(said->field);
}

static bool
read_said(SyncCarried *self, const Pentel__V1__Delivery *message, GError **error)
{
    self->said = g_array_new(FALSE, TRUE, sizeof(SyncSaid));
    g_array_set_clear_func(self->said, clear_said);
    if (message->n_said > N_SAID_MAX) {
        return refuse(error, self->session, "more was said about it than there are passes");
    }
    for (size_t i = 0; i < message->n_said; i++) {
        const Pentel__V1__Said *one = message->said[i];
        if (!is_time(one->wall_us)) {
            return refuse(error, self->session, "something was said about it at no time");
        }
        if (is_field(one->field)) {
            const SyncSaid said = { .field = g_strdup(one->field),
                                    .wall_us = one->wall_us,
                                    .uid = one->uid };
            g_array_append_val(self->said, said);
        }
    }
    return true;
}

/* Whose journal its number counts in: sets before this was written say it in the anchor. */
static char *
dup_store_id(const SyncSet *set, const Pentel__V1__Delivery *message)
{
    const char *text = message->store_id;

    if (text[0] == '\0' && strcmp(message->gateway, set->gateway) == 0) {
        text = set->store_id;
    }
    return g_uuid_string_is_valid(text) ? g_strdup(text) : g_strdup("");
}

static bool
read_state(SyncCarried *self, const Pentel__V1__Delivery *message, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (message->erased) {
        return true;
    }
    g_autoptr(GVariant) state = sync_state_of_json(message->state_json, &failure);
    if (state == NULL) {
        return refuse(error, self->session, failure->message);
    }
    const char *id = cli_dict_get_text(state, "id");
    if (id != NULL && g_ascii_strcasecmp(id, self->session) != 0) {
        return refuse(error, self->session, "its state is that of another session");
    }
    self->state = g_strdup(message->state_json);
    return true;
}

static bool
read_numbers(SyncCarried *self, const Pentel__V1__Delivery *message, GError **error)
{
    self->seq = message->seq;
    self->wall_us = message->wall_us;
    self->fold_wall_us = message->fold_wall_us;
    self->records_at = message->records_at;
    self->n_records_bytes = message->records_bytes;
    return (message->seq <= G_MAXINT64 && is_time(message->wall_us) &&
            is_time(message->fold_wall_us)) ||
           refuse(error, self->session, "its place in the journal is no place");
}

static bool
read_message(SyncCarried *self,
             const SyncSet *set,
             const Pentel__V1__Delivery *message,
             GError **error)
{
    if (strlen(message->session) != N_UUID || !g_uuid_string_is_valid(message->session)) {
        g_set_error_literal(
            error, SYNC_ERROR, SYNC_ERROR_DATA, "a delivery whose session is no UUID");
        return false;
    }
    self->session = g_ascii_strdown(message->session, -1);
    if (!is_gateway(message->gateway)) {
        return refuse(error, self->session, "it does not say which gateway it is of");
    }
    self->gateway = g_strdup(message->gateway);
    self->store_id = dup_store_id(set, message);
    return read_numbers(self, message, error) && read_said(self, message, error) &&
           read_state(self, message, error);
}

SyncCarried *
sync_carried_decode(const SyncSet *set, const uint8_t *bytes, size_t n_bytes, GError **error)
{
    size_t room = N_ROOM_MAX;
    ProtobufCAllocator allocator = { take_room, give_back, &room };
    Pentel__V1__Delivery *message = pentel__v1__delivery__unpack(&allocator, n_bytes, bytes);
    g_autoptr(SyncCarried) self = g_new0(SyncCarried, 1);

    if (message == NULL) {
        g_set_error_literal(error, SYNC_ERROR, SYNC_ERROR_DATA, "something that is no delivery");
        return NULL;
    }
    const bool is_good = read_message(self, set, message, error);
    pentel__v1__delivery__free_unpacked(message, &allocator);
    return is_good ? g_steal_pointer(&self) : NULL;
}

/* Whole messages from the first byte to the last. */
static bool
are_whole(const uint8_t *bytes, gsize n_bytes)
{
    gsize at = 0;

    while (at < n_bytes) {
        size_t n_header = 0;
        uint64_t length = 0;
        if (cli_delimited_read_length(bytes + at, n_bytes - at, &n_header, &length) !=
                CLI_DELIMITED_MESSAGE ||
            length > n_bytes - at - n_header) {
            return false;
        }
        at += n_header + (gsize)length;
    }
    return true;
}

bool
sync_carried_read_records(SyncCarried *self, const SyncSet *set, GError **error)
{
    const uint64_t n_wanted = self->n_records_bytes;

    if (set->records_fd < 0 || n_wanted == 0 || self->state == NULL) {
        return true;
    }
    if (n_wanted > N_RECORDS_MAX || self->records_at > set->n_records_bytes ||
        n_wanted > set->n_records_bytes - self->records_at) {
        return refuse(error, self->session, "its records are not where it says");
    }
    g_autofree uint8_t *bytes = g_malloc(n_wanted);
    for (uint64_t done = 0; done < n_wanted;) {
        const ssize_t n =
            pread(set->records_fd, bytes + done, n_wanted - done, (off_t)(self->records_at + done));
        if (n <= 0) {
            return refuse(error, self->session, "its records cannot be read");
        }
        done += (uint64_t)n;
    }
    if (!are_whole(bytes, n_wanted)) {
        return refuse(error, self->session, "its records are not whole");
    }
    self->records = g_bytes_new_take(g_steal_pointer(&bytes), n_wanted);
    return true;
}
