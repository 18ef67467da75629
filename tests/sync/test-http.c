/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * One HTTP exchange that is cancelled at every moment of its life, against a server that
 * answers at once: it ends with an answer or as cancelled, and the process lives on.
 */
#include "sync/fhir_http.h"

#include <libsoup/soup.h>

#define N_TRIES 4000
#define STEP_US 2
#define N_STEPS 211 /* up to 0.4 ms: an exchange over loopback takes less */

typedef struct {
    GMainLoop *loop;       /* owned */
    GMainContext *context; /* owned; of the thread */
    GThread *thread;       /* owned */
    char *url;             /* owned; set when it listens */
    GMutex mutex;
    GCond cond;
} Server;

typedef struct {
    GCancellable *cancellable; /* borrowed */
    gulong after_us;
} Stop;

static void
on_request(SoupServer *soup,
           SoupServerMessage *message,
           const char *path,
           GHashTable *query,
           gpointer user_data)
{
    static const char body[] = "{\"resourceType\":\"Bundle\"}";

    soup_server_message_set_status(message, SOUP_STATUS_OK, NULL);
    soup_server_message_set_response(
        message, "application/fhir+json", SOUP_MEMORY_STATIC, body, sizeof body - 1);
}

static gpointer
serve(gpointer data)
{
    Server *self = data;
    g_autoptr(GError) error = NULL;

    g_main_context_push_thread_default(self->context);
    g_autoptr(SoupServer) soup = soup_server_new(NULL, NULL);
    soup_server_add_handler(soup, NULL, on_request, NULL, NULL);
    soup_server_listen_local(soup, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
    g_assert_no_error(error);
    GSList *uris = soup_server_get_uris(soup);
    g_mutex_lock(&self->mutex);
    self->url = g_uri_to_string(uris->data);
    g_cond_signal(&self->cond);
    g_mutex_unlock(&self->mutex);
    g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
    g_main_loop_run(self->loop);
    soup_server_disconnect(soup);
    g_main_context_pop_thread_default(self->context);
    return NULL;
}

static void
server_start(Server *self)
{
    /* Some versions of GLib race with themselves when two threads are the first to do it. */
    g_object_unref(soup_session_new());
    self->context = g_main_context_new();
    self->loop = g_main_loop_new(self->context, FALSE);
    self->thread = g_thread_new("server", serve, self);
    g_mutex_lock(&self->mutex);
    while (self->url == NULL) {
        g_cond_wait(&self->cond, &self->mutex);
    }
    g_mutex_unlock(&self->mutex);
}

static void
server_stop(Server *self)
{
    g_main_loop_quit(self->loop);
    g_thread_join(self->thread);
    g_main_loop_unref(self->loop);
    g_main_context_unref(self->context);
    g_free(self->url);
}

static gpointer
stop_after(gpointer data)
{
    const Stop *stop = data;

    g_usleep(stop->after_us);
    g_cancellable_cancel(stop->cancellable);
    return NULL;
}

/* Whether there was an answer. */
static bool
try_once(FhirHttp *http, const FhirHttpRequest *request, gulong after_us)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    Stop stop = { .cancellable = cancellable, .after_us = after_us };
    GThread *thread = g_thread_new("stop", stop_after, &stop);
    FhirHttpReply reply = { 0 };
    g_autoptr(GError) error = NULL;
    const bool is_good = fhir_http_send(http, request, &reply, cancellable, &error);

    g_thread_join(thread);
    if (is_good) {
        g_assert_cmpuint(reply.status, ==, SOUP_STATUS_OK);
    } else {
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    }
    fhir_http_reply_clear(&reply);
    return is_good;
}

static void
test_cancel(void)
{
    Server server = { 0 };
    const FhirHttpSetup setup = { .timeout_s = 20, .answer_max_bytes = 4096 };
    g_autoptr(GError) error = NULL;
    unsigned n_good = 0;

    server_start(&server);
    g_autoptr(FhirHttp) http = fhir_http_new(&setup, &error);
    g_assert_no_error(error);
    const FhirHttpRequest request = { .method = "GET", .url = server.url };
    for (unsigned i = 0; i < N_TRIES; i++) {
        n_good += try_once(http, &request, (gulong)(i % N_STEPS) * STEP_US) ? 1 : 0;
    }
    /* Or it was not about the moments in between. */
    g_test_message("%u of %u had an answer", n_good, (unsigned)N_TRIES);
    g_assert_cmpuint(n_good, >, 0);
    g_assert_cmpuint(n_good, <, N_TRIES);
    g_clear_pointer(&http, fhir_http_free);
    server_stop(&server);
}

static void
drop(const char *domain, GLogLevelFlags level, const char *words, gpointer user_data)
{
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_handler("GLib-GIO", G_LOG_LEVEL_DEBUG, drop, NULL);
    g_test_add_func("/http/cancel", test_cancel);
    return g_test_run();
}
