/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What is written of a session: the same content for programs that speak protobuf and for
 * those that do not.
 */
#include "sync/directory_message.h"

#include "delivery.pb-c.h"
#include "lib/delimited.h"
#include "lib/json.h"

static void
fill_said(const GArray *said, Pentel__V1__Said *messages, Pentel__V1__Said **pointers)
{
    for (guint i = 0; said != NULL && i < said->len; i++) {
        const SyncSaid *one = &g_array_index(said, SyncSaid, i);
        pentel__v1__said__init(&messages[i]);
        messages[i].field = one->field;
        messages[i].wall_us = one->wall_us;
        messages[i].uid = one->uid;
        pointers[i] = &messages[i];
    }
}

GByteArray *
sync_delivery_to_message(const SyncDelivery *delivery, uint64_t records_at, const char *json)
{
    const guint n_said = delivery->said != NULL ? delivery->said->len : 0;
    g_autofree Pentel__V1__Said *said = g_new0(Pentel__V1__Said, n_said + 1);
    g_autofree Pentel__V1__Said **pointers = g_new0(Pentel__V1__Said *, n_said + 1);
    g_autofree char *session = g_strdup(delivery->session);
    g_autofree char *from = g_strdup(delivery->gateway);
    g_autofree char *store_id = g_strdup(delivery->store_id);
    g_autofree char *text = delivery->is_erased ? g_strdup("") : g_strdup(json);
    Pentel__V1__Delivery message;
    GByteArray *bytes = g_byte_array_new();

    pentel__v1__delivery__init(&message);
    fill_said(delivery->said, said, pointers);
    message.session = session;
    message.gateway = from;
    message.store_id = store_id;
    message.records_bytes = delivery->raw_fd >= 0 ? delivery->n_raw_bytes : 0;
    message.records_at = message.records_bytes > 0 ? records_at : 0;
    message.seq = delivery->seq;
    message.wall_us = delivery->wall_us;
    message.fold_wall_us = delivery->fold_wall_us;
    message.n_settled = delivery->n_settled;
    message.erased = delivery->is_erased;
    message.state_json = text;
    message.n_said = n_said;
    message.said = pointers;
    const gsize n_bytes = pentel__v1__delivery__get_packed_size(&message);
    cli_delimited_append_length(bytes, n_bytes);
    const guint offset = bytes->len;
    g_byte_array_set_size(bytes, offset + (guint)n_bytes);
    pentel__v1__delivery__pack(&message, bytes->data + offset);
    return bytes;
}

GString *
sync_delivery_to_line(const SyncDelivery *delivery, const char *json)
{
    GString *line = g_string_new(NULL);
    CliJson out = CLI_JSON_INIT(line);

    cli_json_open(&out, NULL, '{');
    cli_json_text(&out, "session", delivery->session);
    cli_json_text(&out, "gateway", delivery->gateway);
    cli_json_uint(&out, "seq", delivery->seq);
    cli_json_uint(&out, "wall_us", (uint64_t)MAX(delivery->wall_us, 0));
    cli_json_uint(&out, "n_settled", delivery->n_settled);
    cli_json_bool(&out, "erased", delivery->is_erased);
    cli_json_close(&out, '}');
    /* The state is JSON already. */
    g_string_truncate(line, line->len - 1);
    g_string_append_printf(line, ",\"state\":%s}\n", delivery->is_erased ? "null" : json);
    return line;
}
