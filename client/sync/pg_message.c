/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What the statements of pg/put.sql read. Decides which of the words that were said are
 * sent: those that are in the session's state now. A word that was taken back here is not,
 * as an empty one never replaces what another gateway knows (F21).
 */
#include "sync/pg_message.h"

#include "lib/delimited.h"
#include "lib/dict.h"
#include "lib/json.h"
#include "sync/state_json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZONE_OF "zone:"

static char *
dup_pass_zone(GVariant *passes, gsize index)
{
    if (passes == NULL || index >= g_variant_n_children(passes)) {
        return NULL;
    }
    g_autoptr(GVariant) pass = g_variant_get_child_value(passes, index);
    return g_strdup(cli_dict_get_text(pass, "zone"));
}

/* The zone of the session is that of any pass that has none of its own. */
static char *
dup_session_zone(const SyncDelivery *delivery)
{
    g_autoptr(GVariant) passes = cli_dict_get(delivery->state, "passes", "aa{sv}");
    g_autoptr(GVariant) zones = cli_dict_get(delivery->state, "zones", "as");
    const gsize n = passes != NULL ? g_variant_n_children(passes) : 0;
    const char *first = NULL;

    for (gsize i = 0; i < n; i++) {
        g_autofree char *field = g_strdup_printf(ZONE_OF "%" G_GSIZE_FORMAT, i + 1);
        if (sync_delivery_find_said(delivery, field) == NULL) {
            return dup_pass_zone(passes, i);
        }
    }
    if (n > 0 || zones == NULL || g_variant_n_children(zones) == 0) {
        return NULL;
    }
    g_variant_get_child(zones, 0, "&s", &first);
    return g_strdup(first);
}

static char *
dup_word(const SyncDelivery *delivery, const char *field)
{
    if (strcmp(field, "zone") == 0) {
        return dup_session_zone(delivery);
    }
    if (g_str_has_prefix(field, ZONE_OF)) {
        g_autoptr(GVariant) passes = cli_dict_get(delivery->state, "passes", "aa{sv}");
        const guint64 index = g_ascii_strtoull(field + strlen(ZONE_OF), NULL, 10);
        return index > 0 ? dup_pass_zone(passes, (gsize)index - 1) : NULL;
    }
    return g_strdup(
        cli_dict_get_text(delivery->state, strcmp(field, "closed") == 0 ? "closed_reason" : field));
}

/* Where every pass has a zone of its own, that of the session shows nowhere. */
static bool
is_hidden(const SyncDelivery *delivery, const char *field)
{
    g_autoptr(GVariant) passes = cli_dict_get(delivery->state, "passes", "aa{sv}");
    const gsize n = passes != NULL ? g_variant_n_children(passes) : 0;

    for (gsize i = 0; i < n; i++) {
        g_autofree char *own = g_strdup_printf(ZONE_OF "%" G_GSIZE_FORMAT, i + 1);
        if (sync_delivery_find_said(delivery, own) == NULL) {
            return false;
        }
    }
    return n > 0 && strcmp(field, "zone") == 0;
}

static void
append_word(CliJson *json, const SyncSaid *said, const char *word)
{
    cli_json_open(json, NULL, '{');
    cli_json_text(json, "field", said->field);
    if (word != NULL) {
        cli_json_text(json, "value", word);
    }
    cli_json_uint(json, "wall_us", (uint64_t)MAX(said->wall_us, 0));
    cli_json_uint(json, "uid", said->uid);
    cli_json_close(json, '}');
}

/* What stands, or else what was taken back. */
static void
append_words(CliJson *json, const SyncDelivery *delivery, bool is_taken_back)
{
    for (guint i = 0; delivery->said != NULL && i < delivery->said->len; i++) {
        const SyncSaid *said = &g_array_index(delivery->said, SyncSaid, i);
        g_autofree char *word = dup_word(delivery, said->field);
        if (is_taken_back == (word == NULL) &&
            !(is_taken_back && is_hidden(delivery, said->field))) {
            append_word(json, said, word);
        }
    }
}

void
sync_pg_append_message(GString *out, const SyncDelivery *delivery)
{
    CliJson json = CLI_JSON_INIT(out);
    g_autofree char *state = sync_state_to_json(delivery->state);
    const int64_t fold_us =
        delivery->fold_wall_us > 0 ? delivery->fold_wall_us : MAX(delivery->wall_us, 0);

    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "session", delivery->session);
    cli_json_uint(&json, "seq", delivery->seq);
    cli_json_uint(&json, "wall_us", (uint64_t)MAX(delivery->wall_us, 0));
    cli_json_uint(&json, "fold_wall_us", (uint64_t)fold_us);
    cli_json_uint(&json, "n_settled", delivery->n_settled);
    cli_json_open(&json, "words", '[');
    append_words(&json, delivery, false);
    cli_json_close(&json, ']');
    cli_json_open(&json, "taken_back", '[');
    append_words(&json, delivery, true);
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    /* The state is JSON already. */
    g_string_truncate(out, out->len - 1);
    g_string_append_printf(out, ",\"state\":%s}", state);
}

static bool
read_whole(const SyncDelivery *delivery, CliDelimited *bytes)
{
    guint8 buffer[16384];
    off_t done = 0;

    while ((uint64_t)done < delivery->n_raw_bytes) {
        const ssize_t n = pread(delivery->raw_fd, buffer, sizeof buffer, done);
        if (n <= 0) {
            return false;
        }
        cli_delimited_push(bytes, buffer, (guint)n);
        done += n;
    }
    return true;
}

char *
sync_pg_read_records(const SyncDelivery *delivery)
{
    g_autoptr(GString) out = g_string_new("{");
    CliDelimited bytes;
    const uint8_t *message = NULL;
    size_t n_message = 0;

    cli_delimited_init(&bytes);
    const bool is_read = delivery->raw_fd >= 0 && read_whole(delivery, &bytes);
    while (is_read && cli_delimited_take(&bytes, &message, &n_message) == CLI_DELIMITED_MESSAGE) {
        g_string_append(out, out->len > 1 ? ",\"\\\\x" : "\"\\\\x");
        for (size_t i = 0; i < n_message; i++) {
            g_string_append_c(out, "0123456789abcdef"[message[i] >> 4]);
            g_string_append_c(out, "0123456789abcdef"[message[i] & 15]);
        }
        g_string_append_c(out, '"');
    }
    cli_delimited_clear(&bytes);
    g_string_append_c(out, '}');
    return is_read ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}
