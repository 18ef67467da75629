/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Pipes to clients that read, read slowly, never read, leave, and are too many (F14).
 */
#include "loop.h"
#include "service/streams.h"
#include "util/error.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define STALL_MS 200u

/* Gives a number of chunks, each of one byte value, then ends. */
typedef struct {
    unsigned n_chunks;
    unsigned n_given;
    bool is_idle; /* gives nothing at all */
    bool closed;
    size_t waiting_max;
} Source;

static void
on_pull(void *source, PdServiceStream *stream)
{
    Source *self = source;
    g_autofree uint8_t *chunk = g_malloc(PD_SERVICE_STREAM_CHUNK);

    if (self->is_idle) {
        return;
    }
    if (self->n_given == self->n_chunks) {
        pd_service_stream_end(stream);
        return;
    }
    for (size_t i = 0; i < PD_SERVICE_STREAM_CHUNK; i++) {
        chunk[i] = (uint8_t)(self->n_given + i);
    }
    self->n_given++;
    pd_service_stream_push(stream, chunk, PD_SERVICE_STREAM_CHUNK);
    self->waiting_max = MAX(self->waiting_max, pd_service_stream_get_waiting(stream));
}

static void
on_closed(void *source, PdServiceStream *stream)
{
    Source *self = source;

    g_assert_false(self->closed);
    self->closed = true;
}

static const PdServiceStreamSource funcs = { .pull = on_pull, .closed = on_closed };

static PdServiceStreams *
new_streams(void)
{
    const PdServiceStreamsConfig config = { .stall_ms = STALL_MS };

    return pd_service_streams_new(&config);
}

/* Opens a stream that only keeps itself; the client's end. */
static int
open_stream(PdServiceStreams *streams, uint32_t uid, Source *source)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PdServiceStream) stream = pd_service_stream_new(streams, uid, &error);

    g_assert_no_error(error);
    const int fd = pd_service_stream_open(stream, &funcs, source, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* Reads what there is; true at end of file. */
static bool
drain(int fd, GByteArray *bytes)
{
    uint8_t buffer[4096];

    for (;;) {
        const ssize_t n = read(fd, buffer, sizeof buffer);
        if (n <= 0) {
            return n == 0;
        }
        g_byte_array_append(bytes, buffer, (guint)n);
    }
}

static void
read_to_end(int fd, GByteArray *bytes)
{
    const int64_t limit_us = g_get_monotonic_time() + LOOP_LIMIT_MS * 1000ll;

    g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
    while (!drain(fd, bytes)) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit_us);
        loop_for(1);
    }
}

static void
test_whole(void)
{
    g_autoptr(PdServiceStreams) streams = new_streams();
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Source source = { .n_chunks = 40 };
    const int fd = open_stream(streams, 1, &source);

    read_to_end(fd, bytes);
    close(fd);
    g_assert_true(source.closed);
    g_assert_cmpuint(bytes->len, ==, 40 * PD_SERVICE_STREAM_CHUNK);
    for (guint i = 0; i < bytes->len; i++) {
        const guint chunk = i / PD_SERVICE_STREAM_CHUNK;
        g_assert_cmpuint(bytes->data[i], ==, (uint8_t)(chunk + i % PD_SERVICE_STREAM_CHUNK));
    }
    g_assert_cmpuint(source.waiting_max, <=, PD_SERVICE_STREAM_CHUNK);
    g_assert_cmpuint(pd_service_streams_count(streams), ==, 0);
}

/* One that never reads goes, and the others do not notice it. */
static void
test_never_reads(void)
{
    g_autoptr(PdServiceStreams) streams = new_streams();
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Source lazy = { .n_chunks = 1000 };
    Source busy = { .n_chunks = 40 };
    const int64_t began_us = g_get_monotonic_time();
    const int lazy_fd = open_stream(streams, 1, &lazy);
    const int busy_fd = open_stream(streams, 1, &busy);

    read_to_end(busy_fd, bytes);
    g_assert_cmpuint(bytes->len, ==, 40 * PD_SERVICE_STREAM_CHUNK);
    g_assert_false(lazy.closed);
    loop_until(&lazy.closed);
    g_assert_cmpint(g_get_monotonic_time() - began_us, >=, STALL_MS * 1000ll);
    g_assert_cmpuint(lazy.n_given, <, 5);
    g_assert_cmpuint(pd_service_streams_count(streams), ==, 0);
    close(lazy_fd);
    close(busy_fd);
}

/* Slower than the stall time as a whole, but never without progress. */
static void
test_slow_reader(void)
{
    g_autoptr(PdServiceStreams) streams = new_streams();
    uint8_t buffer[8192];
    Source source = { .n_chunks = 4 };
    const int fd = open_stream(streams, 1, &source);
    size_t n_bytes = 0;

    for (unsigned i = 0; i < 100 && n_bytes < 4 * PD_SERVICE_STREAM_CHUNK; i++) {
        loop_for(STALL_MS / 5);
        const ssize_t n = read(fd, buffer, sizeof buffer);
        g_assert_cmpint(n, >, 0);
        n_bytes += (size_t)n;
    }
    g_assert_cmpuint(n_bytes, ==, 4 * PD_SERVICE_STREAM_CHUNK);
    close(fd);
}

static void
test_idle(void)
{
    g_autoptr(PdServiceStreams) streams = new_streams();
    Source source = { .is_idle = true };
    const int fd = open_stream(streams, 1, &source);

    loop_for(STALL_MS * 2);
    g_assert_false(source.closed);
    /* Leaving is noticed although nothing is written. */
    close(fd);
    loop_until(&source.closed);
    g_assert_cmpuint(pd_service_streams_count(streams), ==, 0);
}

static void
test_leaves(void)
{
    g_autoptr(PdServiceStreams) streams = new_streams();
    Source source = { .n_chunks = 1000 };
    const int fd = open_stream(streams, 1, &source);

    loop_for(20);
    close(fd);
    loop_until(&source.closed);
}

static void
test_per_user(void)
{
    g_autoptr(PdServiceStreams) streams = new_streams();
    g_autoptr(GError) error = NULL;
    Source sources[5] = { { .is_idle = true },
                          { .is_idle = true },
                          { .is_idle = true },
                          { .is_idle = true },
                          { .is_idle = true } };
    int fds[5];

    for (size_t i = 0; i < 4; i++) {
        fds[i] = open_stream(streams, 7, &sources[i]);
    }
    g_assert_null(pd_service_stream_new(streams, 7, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_BUSY);
    /* Another user has places of its own, and a place comes back. */
    fds[4] = open_stream(streams, 8, &sources[4]);
    close(fds[0]);
    loop_until(&sources[0].closed);
    g_autoptr(PdServiceStream) again = pd_service_stream_new(streams, 7, NULL);
    g_assert_nonnull(again);
    for (size_t i = 1; i < G_N_ELEMENTS(fds); i++) {
        close(fds[i]);
        loop_until(&sources[i].closed);
    }
}

static void
test_total(void)
{
    g_autoptr(PdServiceStreams) streams = new_streams();
    g_autoptr(GPtrArray) held =
        g_ptr_array_new_with_free_func((GDestroyNotify)pd_service_stream_unref);
    g_autoptr(GError) error = NULL;

    for (uint32_t i = 0; i < 32; i++) {
        PdServiceStream *stream = pd_service_stream_new(streams, i, &error);
        g_assert_no_error(error);
        g_ptr_array_add(held, stream);
    }
    g_assert_null(pd_service_stream_new(streams, 99, &error));
    g_assert_error(error, PD_ERROR, PD_ERROR_BUSY);
    /* A place that was never used comes back as well. */
    g_ptr_array_set_size(held, 31);
    g_autoptr(PdServiceStream) last = pd_service_stream_new(streams, 99, NULL);
    g_assert_nonnull(last);
}

static void
test_freed(void)
{
    PdServiceStreams *streams = new_streams();
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Source source = { .is_idle = true };
    const int fd = open_stream(streams, 1, &source);

    pd_service_streams_free(streams);
    g_assert_true(source.closed);
    read_to_end(fd, bytes);
    close(fd);
}

int
main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/service/streams/never-reads", test_never_reads);
    g_test_add_func("/service/streams/leaves", test_leaves);
    g_test_add_func("/service/streams/per-user", test_per_user);
    g_test_add_func("/service/streams/total", test_total);
    g_test_add_func("/service/streams/freed", test_freed);
    g_test_add_func("/service/streams/idle", test_idle);
    g_test_add_func("/service/streams/slow-reader", test_slow_reader);
    g_test_add_func("/service/streams/whole", test_whole);
    return g_test_run();
}
