/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides when an answer has taken too long or grown too large. libsoup's own time-out starts
 * anew with every byte, which a server that never ends would use, so there is a deadline.
 */
#include "sync/fhir_http.h"

#include <libsoup/soup.h>
#include <string.h>

#define RETRY_AFTER_MAX_MS G_GUINT64_CONSTANT(3600000)
#define READ_BYTES         ((gsize)16384)

struct FhirHttp {
    SoupSession *session;  /* owned */
    GMainContext *context; /* owned; nothing else runs in it */
    FhirHttpSetup setup;
};

/* One request; lives on the stack of fhir_http_send(). */
typedef struct {
    GByteArray *body;          /* owned */
    GInputStream *stream;      /* owned */
    GError *error;             /* owned */
    GCancellable *cancellable; /* owned; cancelled by what stops it, and by nothing else */
    GSource *stop;             /* owned; fires at the deadline, or when the caller cancels */
    gsize max_bytes;
    bool is_stopped;
    bool is_done;
} Exchange;

FhirHttp *
fhir_http_new(const FhirHttpSetup *setup, GError **error)
{
    g_autoptr(GTlsDatabase) database = NULL;

    if (setup->ca_file != NULL) {
        database = g_tls_file_database_new(setup->ca_file, error);
        if (database == NULL) {
            return NULL;
        }
    }
    FhirHttp *self = g_new0(FhirHttp, 1);
    self->setup = *setup;
    self->setup.ca_file = NULL;
    self->setup.proxy = NULL;
    self->context = g_main_context_new();
    g_main_context_push_thread_default(self->context);
    self->session = soup_session_new_with_options("timeout",
                                                  setup->timeout_s,
                                                  "idle-timeout",
                                                  30u,
                                                  "max-conns-per-host",
                                                  1,
                                                  "user-agent",
                                                  "pentel-sync",
                                                  NULL);
    if (database != NULL) {
        soup_session_set_tls_database(self->session, database);
    }
    if (setup->proxy != NULL) {
        g_autoptr(GProxyResolver) proxy = g_simple_proxy_resolver_new(setup->proxy, NULL);
        soup_session_set_proxy_resolver(self->session, proxy);
    } else {
        soup_session_set_proxy_resolver(self->session, NULL);
    }
    g_main_context_pop_thread_default(self->context);
    return self;
}

void
fhir_http_free(FhirHttp *self)
{
    if (self == NULL) {
        return;
    }
    g_main_context_push_thread_default(self->context);
    soup_session_abort(self->session);
    g_clear_object(&self->session);
    while (g_main_context_iteration(self->context, FALSE)) {
    }
    g_main_context_pop_thread_default(self->context);
    g_main_context_unref(self->context);
    g_free(self);
}

void
fhir_http_reply_clear(FhirHttpReply *self)
{
    g_clear_pointer(&self->body, g_free);
    g_clear_pointer(&self->etag, g_free);
    g_clear_pointer(&self->location, g_free);
    self->n_bytes = 0;
    self->status = 0;
    self->retry_after_ms = 0;
}

uint32_t
fhir_http_retry_after_ms(const char *header, int64_t now_us)
{
    guint64 seconds = 0;

    if (header == NULL) {
        return 0;
    }
    if (!g_ascii_string_to_unsigned(header, 10, 0, G_MAXUINT32, &seconds, NULL)) {
        g_autoptr(GDateTime) date = soup_date_time_new_from_http_string(header);
        const int64_t wait_s =
            date == NULL ? 0 : g_date_time_to_unix(date) - now_us / G_USEC_PER_SEC;
        seconds = wait_s > 0 ? (guint64)wait_s : 0;
    }
    return (uint32_t)MIN(seconds * 1000u, RETRY_AFTER_MAX_MS);
}

static void
finish(Exchange *exchange, GError *error)
{
    exchange->error = error;
    exchange->is_done = true;
}

static void on_read(GObject *source, GAsyncResult *result, gpointer data);

static void
read_more(Exchange *exchange)
{
    g_input_stream_read_bytes_async(
        exchange->stream, READ_BYTES, G_PRIORITY_DEFAULT, exchange->cancellable, on_read, exchange);
}

static void
on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    Exchange *exchange = data;
    GError *error = NULL;
    g_autoptr(GBytes) bytes = g_input_stream_read_bytes_finish(exchange->stream, result, &error);

    if (bytes == NULL || g_bytes_get_size(bytes) == 0) {
        finish(exchange, error);
        return;
    }
    g_byte_array_append(
        exchange->body, g_bytes_get_data(bytes, NULL), (guint)g_bytes_get_size(bytes));
    if (exchange->body->len > exchange->max_bytes) {
        finish(exchange,
               g_error_new_literal(
                   G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE, "the answer is too long"));
        return;
    }
    read_more(exchange);
}

static void
on_sent(GObject *source, GAsyncResult *result, gpointer data)
{
    Exchange *exchange = data;
    GError *error = NULL;

    exchange->stream = soup_session_send_finish(SOUP_SESSION(source), result, &error);
    if (exchange->stream == NULL) {
        finish(exchange, error);
        return;
    }
    /* From here on an answer without end must not keep it from its turn. */
    g_source_set_priority(exchange->stop, G_PRIORITY_HIGH);
    read_more(exchange);
}

static gboolean
on_stop(gpointer data)
{
    Exchange *exchange = data;

    exchange->is_stopped = true;
    g_cancellable_cancel(exchange->cancellable);
    return G_SOURCE_REMOVE;
}

/* In whichever thread cancels. */
static void
on_cancelled(GCancellable *outer, gpointer data)
{
    g_source_set_ready_time(data, 0);
}

static SoupMessage *
message_new(const FhirHttpRequest *request, GError **error)
{
    SoupMessage *message = soup_message_new(request->method, request->url);

    if (message == NULL) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "not a URL");
        return NULL;
    }
    SoupMessageHeaders *headers = soup_message_get_request_headers(message);
    soup_message_add_flags(message, SOUP_MESSAGE_NO_REDIRECT);
    soup_message_headers_replace(headers, "Accept", "application/fhir+json, application/json");
    /* What was written comes back only when it is asked for. */
    soup_message_headers_replace(headers, "Prefer", "return=minimal");
    if (request->authorization != NULL) {
        soup_message_headers_replace(headers, "Authorization", request->authorization);
    }
    if (request->if_match != NULL) {
        soup_message_headers_replace(headers, "If-Match", request->if_match);
    }
    if (request->if_none_exist != NULL) {
        soup_message_headers_replace(headers, "If-None-Exist", request->if_none_exist);
    }
    if (request->body != NULL) {
        g_autoptr(GBytes) bytes = g_bytes_new(request->body, strlen(request->body));
        soup_message_set_request_body_from_bytes(message, request->type, bytes);
    }
    return message;
}

/* libsoup 3.2 crashes when it is cancelled between an answer and its callback: it then closes
 * a stream that it has no use for, after letting go of what that needs. So the stop waits its
 * turn behind any callback that is due. */
static void
prepare_stop(FhirHttp *self, Exchange *exchange)
{
    exchange->stop = g_timeout_source_new_seconds(self->setup.timeout_s);
    g_source_set_priority(exchange->stop, G_PRIORITY_LOW);
    g_source_set_callback(exchange->stop, on_stop, exchange, NULL);
    g_source_attach(exchange->stop, self->context);
}

/* Runs the context until the exchange is over; nothing of it is pending afterwards. */
static void
run(FhirHttp *self, SoupMessage *message, Exchange *exchange)
{
    soup_session_send_async(
        self->session, message, G_PRIORITY_DEFAULT, exchange->cancellable, on_sent, exchange);
    while (!exchange->is_done) {
        g_main_context_iteration(self->context, TRUE);
    }
    if (exchange->stream != NULL) {
        /* An answer that was not read to its end must not be waited for. */
        if (exchange->error != NULL) {
            g_cancellable_cancel(exchange->cancellable);
        }
        (void)g_input_stream_close(exchange->stream, exchange->cancellable, NULL);
    }
}

static void
take_reply(FhirHttpReply *reply, SoupMessage *message, Exchange *exchange)
{
    SoupMessageHeaders *headers = soup_message_get_response_headers(message);
    const guint8 end = 0;

    reply->status = soup_message_get_status(message);
    reply->etag = g_strdup(soup_message_headers_get_one(headers, "ETag"));
    reply->location = g_strdup(soup_message_headers_get_one(headers, "Location"));
    reply->retry_after_ms = fhir_http_retry_after_ms(
        soup_message_headers_get_one(headers, "Retry-After"), g_get_real_time());
    reply->n_bytes = exchange->body->len;
    g_byte_array_append(exchange->body, &end, 1);
    reply->body = (char *)g_byte_array_free(g_steal_pointer(&exchange->body), FALSE);
}

static bool
check_length(SoupMessage *message, const Exchange *exchange, GError **error)
{
    SoupMessageHeaders *headers = soup_message_get_response_headers(message);

    if (soup_message_headers_get_encoding(headers) == SOUP_ENCODING_CONTENT_LENGTH &&
        soup_message_headers_get_one(headers, "Content-Encoding") == NULL &&
        (goffset)exchange->body->len < soup_message_headers_get_content_length(headers)) {
        g_set_error_literal(
            error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT, "the answer broke off half-way");
        return false;
    }
    return true;
}

bool
fhir_http_send(FhirHttp *self,
               const FhirHttpRequest *request,
               FhirHttpReply *reply_out,
               GCancellable *cancellable,
               GError **error)
{
    Exchange exchange = { .max_bytes = self->setup.answer_max_bytes };
    g_autoptr(SoupMessage) message = message_new(request, error);

    if (message == NULL) {
        return false;
    }
    exchange.body = g_byte_array_new();
    exchange.cancellable = g_cancellable_new();
    prepare_stop(self, &exchange);
    const gulong handler =
        cancellable == NULL
            ? 0
            : g_cancellable_connect(cancellable, G_CALLBACK(on_cancelled), exchange.stop, NULL);
    g_main_context_push_thread_default(self->context);
    run(self, message, &exchange);
    g_main_context_pop_thread_default(self->context);
    g_cancellable_disconnect(cancellable, handler);
    g_source_destroy(exchange.stop);
    g_clear_pointer(&exchange.stop, g_source_unref);

    bool is_good = exchange.error == NULL && check_length(message, &exchange, &exchange.error);
    if (is_good) {
        take_reply(reply_out, message, &exchange);
    } else if (exchange.is_stopped && !g_cancellable_is_cancelled(cancellable)) {
        g_set_error(error,
                    G_IO_ERROR,
                    G_IO_ERROR_TIMED_OUT,
                    "no whole answer within %u s",
                    self->setup.timeout_s);
        g_clear_error(&exchange.error);
    } else {
        g_propagate_error(error, g_steal_pointer(&exchange.error));
    }
    g_clear_object(&exchange.stream);
    g_clear_object(&exchange.cancellable);
    g_clear_pointer(&exchange.body, g_byte_array_unref);
    return is_good;
}
