/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The reader thread over socketpairs that stand for bluetoothd's: early frames lost,
 * the end, garbage, a stream that never ends, a full store.
 */
#include "fake-store.h"
#include "pen/reader.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_ID  UINT64_C(0x1122334455667788)
#define WAIT_US 5000000
#define MTU     64u

typedef struct {
    PdStore store;
    PdProgress *progress;
    PdReader *reader;
    uint64_t link;
    int fds[PD_N_STREAMS]; /* bluetoothd's ends */
    uint8_t counter[PD_N_STREAMS];
    guint n_items[PD_READER_NOISE + 1];
    uint32_t token;
    uint64_t n_at_drain; /* records stored when DRAINED was told */
    uint32_t last_number;
} Bench;

static uint64_t
get_appended(Bench *bench)
{
    pthread_mutex_lock(&bench->store.lock);
    const uint64_t n = bench->store.n_appended;
    pthread_mutex_unlock(&bench->store.lock);
    return n;
}

static void
on_item(void *user_data, const PdReaderItem *item)
{
    Bench *bench = user_data;

    bench->n_items[item->kind]++;
    if (item->kind == PD_READER_DRAINED) {
        bench->token = item->token;
        bench->n_at_drain = get_appended(bench);
    }
    if (item->kind == PD_READER_RECORD) {
        PenRecordHeader header;
        g_assert_cmpint(pen_record_check(item->bytes, item->n_bytes, &header), ==, PEN_STATUS_OK);
        bench->last_number = header.number;
    }
}

static int
add_stream(PdReader *reader, uint64_t link, PdStream stream)
{
    int pair[2] = { -1, -1 };

    g_assert_cmpint(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
    pd_reader_add_fd(reader, link, stream, pair[1]);
    return pair[0];
}

static void
bench_open(Bench *bench, uint32_t coalesce_ms)
{
    PenRanges none;

    *bench = (Bench){ 0 };
    pen_ranges_init(&none);
    pthread_mutex_init(&bench->store.lock, NULL);
    bench->progress = pd_progress_new(LOG_ID, &none);
    bench->reader = pd_reader_new(&bench->store, coalesce_ms, on_item, bench);
    bench->link = pd_reader_open_link(bench->reader, bench->progress);
    for (unsigned i = 0; i < PD_N_STREAMS; i++) {
        bench->fds[i] = add_stream(bench->reader, bench->link, (PdStream)i);
    }
}

static void
bench_close(Bench *bench)
{
    pd_reader_free(bench->reader);
    pd_progress_unref(bench->progress);
    for (unsigned i = 0; i < PD_N_STREAMS; i++) {
        if (bench->fds[i] >= 0) {
            close(bench->fds[i]);
        }
    }
    pthread_mutex_destroy(&bench->store.lock);
}

static gboolean
on_tick(gpointer user_data)
{
    return G_SOURCE_CONTINUE;
}

/* Runs main until @n records are stored and @n_items of @kind were told. */
static void
bench_wait(Bench *bench, uint64_t n, PdReaderKind kind, guint n_items)
{
    const int64_t end_us = g_get_monotonic_time() + WAIT_US;
    const guint tick = g_timeout_add(5, on_tick, NULL);

    while (get_appended(bench) < n || bench->n_items[kind] < n_items) {
        if (g_get_monotonic_time() > end_us) {
            g_error("%u records and %u items of kind %u, not %u and %u",
                    (unsigned)get_appended(bench),
                    bench->n_items[kind],
                    (unsigned)kind,
                    (unsigned)n,
                    n_items);
        }
        g_main_context_iteration(NULL, TRUE);
    }
    g_source_remove(tick);
}

static void
send_bytes(Bench *bench, PdStream stream, const uint8_t *bytes, size_t n_bytes)
{
    for (int i = 0; i < 1000; i++) {
        if (send(bench->fds[stream], bytes, n_bytes, MSG_NOSIGNAL) == (ssize_t)n_bytes) {
            return;
        }
        g_usleep(1000); /* full: as a slow pen would wait */
    }
    g_error("the reader does not read");
}

static size_t
encode_of(uint64_t log_id, uint32_t number, PenBodyKind kind, uint8_t *out)
{
    const PenRecordHeader header = {
        .guard = (uint32_t)log_id, .number = number, .session = number == 0 ? 0 : 1, .boot = 1
    };
    PenBody body = { .kind = kind };
    size_t n_bytes = 0;

    if (kind == PEN_BODY_SAMPLES) {
        body.samples.interval_ticks = 20000;
        body.samples.n = 10;
        body.samples.n_runs = 1;
        body.samples.run_ticks[0] = 200000;
        for (uint32_t i = 0; i < body.samples.n; i++) {
            body.samples.depth_um[i] = 1500;
        }
    }
    g_assert_cmpint(
        pen_record_encode(&header, &body, out, PEN_RECORD_MAX, &n_bytes), ==, PEN_STATUS_OK);
    return n_bytes;
}

static size_t
encode(uint32_t number, PenBodyKind kind, uint8_t *out)
{
    return encode_of(LOG_ID, number, kind, out);
}

static void
send_segments(Bench *bench, PdStream stream, const uint8_t *bytes, size_t n_bytes, bool is_lost)
{
    for (size_t at = 0; at < n_bytes; at += MTU - 4u) {
        const size_t n_part = MIN(n_bytes - at, MTU - 4u);
        uint8_t segment[MTU];

        const uint32_t flags =
            (at == 0 ? PEN_SEGMENT_FIRST : 0u) | (at + n_part == n_bytes ? PEN_SEGMENT_LAST : 0u);
        segment[0] = (uint8_t)((uint32_t)bench->counter[stream]++ << 2 | flags);
        memcpy(segment + 1, bytes + at, n_part);
        if (!is_lost) {
            send_bytes(bench, stream, segment, n_part + 1);
        }
    }
}

static void
send_record(Bench *bench, PdStream stream, uint32_t number, PenBodyKind kind)
{
    uint8_t bytes[PEN_RECORD_MAX];

    send_segments(bench, stream, bytes, encode(number, kind, bytes), false);
}

static void
test_stream(void)
{
    Bench bench;

    bench_open(&bench, 50);
    send_record(&bench, PD_STREAM_LIVE, 1, PEN_BODY_SESSION_BEGIN);
    for (uint32_t number = 2; number <= 100; number++) {
        send_record(&bench, PD_STREAM_LIVE, number, PEN_BODY_SAMPLES);
    }
    send_record(&bench, PD_STREAM_LIVE, 101, PEN_BODY_SESSION_END);
    bench_wait(&bench, 101, PD_READER_RECORD, 2);
    /* Nobody watches: main sees the begin and the end, and no sample. */
    g_assert_cmpuint(bench.n_items[PD_READER_RECORD], ==, 2);
    g_assert_cmpuint(bench.last_number, ==, 101);
    g_assert_cmpuint(bench.n_items[PD_READER_GAP], ==, 0);
    g_assert_cmpuint(pd_progress_count_missing(bench.progress, 1, 101), ==, 0);
    g_assert_true(bench.store.last_log_id == LOG_ID);
    pd_reader_set_watched(bench.reader, true);
    send_record(&bench, PD_STREAM_LIVE, 102, PEN_BODY_SAMPLES);
    bench_wait(&bench, 102, PD_READER_RECORD, 3);
    g_assert_cmpuint(bench.last_number, ==, 102);
    bench_close(&bench);
}

/* P2: what bluetoothd dropped before the socket was there is a gap, no more. */
static void
test_early_frames_lost(void)
{
    Bench bench;
    uint8_t bytes[PEN_RECORD_MAX];

    bench_open(&bench, 10);
    const size_t n_bytes = encode(1, PEN_BODY_SAMPLES, bytes);
    g_assert_cmpuint(n_bytes, <, 2 * (MTU - 4u)); /* two segments, the first is lost */
    g_assert_cmpuint(n_bytes, >, MTU - 4u);
    send_segments(&bench, PD_STREAM_LIVE, bytes, MTU - 4u, true);
    bench.counter[PD_STREAM_LIVE] = 1;
    uint8_t segment[MTU] = { 1u << 2 | PEN_SEGMENT_LAST };
    memcpy(segment + 1, bytes + MTU - 4u, n_bytes - (MTU - 4u));
    send_bytes(&bench, PD_STREAM_LIVE, segment, n_bytes - (MTU - 4u) + 1);
    bench.counter[PD_STREAM_LIVE] = 2;
    send_record(&bench, PD_STREAM_LIVE, 2, PEN_BODY_SAMPLES);
    bench_wait(&bench, 1, PD_READER_GAP, 1);
    g_assert_cmpuint(pd_progress_count_missing(bench.progress, 1, 2), ==, 1);
    const PdIntakeCounts *counts = pd_reader_get_counts(bench.reader, bench.link);
    g_assert_cmpuint(counts->n_malformed, ==, 0); /* loss is no fault of the pen */
    bench_close(&bench);
}

static void
test_lost_segment(void)
{
    Bench bench;
    uint8_t bytes[PEN_RECORD_MAX];

    bench_open(&bench, 10);
    send_record(&bench, PD_STREAM_LIVE, 1, PEN_BODY_SESSION_BEGIN);
    send_segments(&bench, PD_STREAM_LIVE, bytes, encode(2, PEN_BODY_SAMPLES, bytes), true);
    send_record(&bench, PD_STREAM_LIVE, 3, PEN_BODY_SAMPLES);
    bench_wait(&bench, 2, PD_READER_GAP, 1);
    send_record(&bench, PD_STREAM_STORED, 2, PEN_BODY_SAMPLES);
    bench_wait(&bench, 3, PD_READER_GAP, 1);
    g_assert_cmpuint(pd_progress_count_missing(bench.progress, 1, 3), ==, 0);
    bench_close(&bench);
}

/* F30: on Live and on Stored, the same bytes once; other bytes under a number are named. */
static void
test_twice(void)
{
    Bench bench;
    uint8_t bytes[PEN_RECORD_MAX];

    bench_open(&bench, 10);
    send_record(&bench, PD_STREAM_LIVE, 1, PEN_BODY_SESSION_BEGIN);
    send_record(&bench, PD_STREAM_STORED, 1, PEN_BODY_SESSION_BEGIN);
    send_record(&bench, PD_STREAM_STORED, 2, PEN_BODY_SAMPLES);
    bench_wait(&bench, 2, PD_READER_RECORD, 2);
    g_assert_cmpuint(get_appended(&bench), ==, 2);
    const PdIntakeCounts *counts = pd_reader_get_counts(bench.reader, bench.link);
    g_assert_cmpuint(counts->n_malformed, ==, 0);
    send_segments(&bench, PD_STREAM_LIVE, bytes, encode(2, PEN_BODY_SESSION_END, bytes), false);
    bench_wait(&bench, 3, PD_READER_RECORD, 3);
    g_assert_cmpuint(counts->n_malformed, ==, 0); /* the store counts it, once */
    bench_close(&bench);
}

/* P6, F31: what is in the socket when bluetoothd closes it is read to the end. */
static void
test_hup(void)
{
    Bench bench;

    bench_open(&bench, 200);
    for (uint32_t number = 1; number <= 100; number++) {
        send_record(&bench, PD_STREAM_LIVE, number, PEN_BODY_SAMPLES);
    }
    close(bench.fds[PD_STREAM_LIVE]);
    bench.fds[PD_STREAM_LIVE] = -1;
    bench_wait(&bench, 100, PD_READER_HUP, 1);
    g_assert_cmpuint(pd_progress_count_missing(bench.progress, 1, 100), ==, 0);
    g_assert_cmpuint(bench.n_items[PD_READER_HUP], ==, 1);
    /* The other stream goes on. */
    send_record(&bench, PD_STREAM_STORED, 101, PEN_BODY_SAMPLES);
    bench_wait(&bench, 101, PD_READER_HUP, 1);
    bench_close(&bench);
}

/* P3: a message of no bytes is not the end. */
static void
test_empty_message(void)
{
    Bench bench;

    bench_open(&bench, 10);
    send_bytes(&bench, PD_STREAM_LIVE, (const uint8_t *)"", 0);
    send_record(&bench, PD_STREAM_LIVE, 1, PEN_BODY_SAMPLES);
    bench_wait(&bench, 1, PD_READER_RECORD, 0);
    g_assert_cmpuint(bench.n_items[PD_READER_HUP], ==, 0);
    g_assert_cmpuint(pd_reader_get_counts(bench.reader, bench.link)->n_malformed, ==, 1);
    bench_close(&bench);
}

static void
test_garbage(void)
{
    Bench bench;
    g_autoptr(GRand) luck = g_rand_new_with_seed(7);
    uint8_t bytes[PEN_RECORD_MAX];

    bench_open(&bench, 10);
    for (int i = 0; i < 2000; i++) {
        uint8_t noise[512];
        const size_t n_noise = (size_t)g_rand_int_range(luck, 1, sizeof noise + 1);
        for (size_t at = 0; at < n_noise; at++) {
            noise[at] = (uint8_t)g_rand_int(luck);
        }
        send_bytes(&bench, PD_STREAM_LIVE, noise, n_noise);
    }
    /* A record of another log, a wrong CRC: whole, and not taken. */
    size_t n_bytes = encode(1, PEN_BODY_SAMPLES, bytes);
    bytes[n_bytes - 1] ^= 1u;
    send_segments(&bench, PD_STREAM_STORED, bytes, n_bytes, false);
    n_bytes = encode_of(LOG_ID + 1, 1, PEN_BODY_SAMPLES, bytes);
    send_segments(&bench, PD_STREAM_STORED, bytes, n_bytes, false);
    send_record(&bench, PD_STREAM_STORED, 1, PEN_BODY_SAMPLES);
    bench_wait(&bench, 1, PD_READER_BAD, 2);
    g_assert_cmpuint(get_appended(&bench), ==, 1);
    g_assert_cmpuint(pd_reader_get_counts(bench.reader, bench.link)->n_malformed, >, 10);
    bench_close(&bench);
}

/* F3: all that is in the sockets before the answer, whatever the coalescing. */
static void
test_drain(void)
{
    Bench bench;

    bench_open(&bench, 10000);
    g_usleep(50000); /* it naps */
    for (uint32_t number = 1; number <= 60; number++) {
        send_record(&bench, PD_STREAM_STORED, number, PEN_BODY_SAMPLES);
    }
    pd_reader_drain(bench.reader, bench.link, 42);
    bench_wait(&bench, 60, PD_READER_DRAINED, 1);
    g_assert_cmpuint(bench.token, ==, 42);
    g_assert_cmpuint(bench.n_at_drain, ==, 60);
    g_assert_cmpuint(pd_progress_count_missing(bench.progress, 1, 60), ==, 0);
    bench_close(&bench);
}

typedef struct {
    int fd;
    gint stop;
    gint n_sent;
} Flood;

static gpointer
flood(gpointer data)
{
    Flood *self = data;
    uint8_t segment[200] = { 0 };

    for (uint8_t counter = 0; g_atomic_int_get(&self->stop) == 0; counter++) {
        segment[0] = (uint8_t)(counter << 2);
        if (send(self->fd, segment, sizeof segment, MSG_NOSIGNAL) > 0) {
            g_atomic_int_inc(&self->n_sent);
        }
    }
    return NULL;
}

/* One pen never stops; the records of another arrive all the same. */
static void
test_endless(void)
{
    Bench bench;

    bench_open(&bench, 10);
    PenRanges none;
    pen_ranges_init(&none);
    g_autoptr(PdProgress) other = pd_progress_new(LOG_ID + 1, &none);
    const uint64_t bad_link = pd_reader_open_link(bench.reader, other);
    Flood mad = { .fd = add_stream(bench.reader, bad_link, PD_STREAM_LIVE) };
    GThread *threads[4];
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("flood", flood, &mad);
    }
    for (uint32_t number = 1; number <= 500; number++) {
        send_record(&bench, PD_STREAM_LIVE, number, PEN_BODY_SAMPLES);
    }
    bench_wait(&bench, 500, PD_READER_NOISE, 1);
    g_atomic_int_set(&mad.stop, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpint(mad.n_sent, >, 500);
    g_assert_cmpuint(pd_progress_count_missing(bench.progress, 1, 500), ==, 0);
    g_assert_cmpuint(pd_reader_get_counts(bench.reader, bench.link)->n_malformed, ==, 0);
    g_assert_cmpuint(pd_reader_get_counts(bench.reader, bad_link)->n_malformed, >=, 1000);
    close(mad.fd);
    bench_close(&bench);
}

#define N_TORRENT 512u /* twice what the reader remembers, so that none is a repetition */

typedef struct {
    int fd;
    gint stop;
    uint64_t log_id;
} Torrent;

static gpointer
pour(gpointer data)
{
    Torrent *self = data;
    g_autofree uint8_t *segments = g_malloc(N_TORRENT * (PEN_RECORD_MAX + 1));
    size_t n_bytes[N_TORRENT];

    for (uint32_t i = 0; i < N_TORRENT; i++) {
        n_bytes[i] = encode_of(
            self->log_id, i + 1, PEN_BODY_SAMPLES, segments + i * (PEN_RECORD_MAX + 1) + 1);
    }
    for (uint32_t i = 0; g_atomic_int_get(&self->stop) == 0; i++) {
        uint8_t *segment = segments + i % N_TORRENT * (PEN_RECORD_MAX + 1);

        segment[0] = (uint8_t)(i << 2 | PEN_SEGMENT_FIRST | PEN_SEGMENT_LAST);
        while (send(self->fd, segment, n_bytes[i % N_TORRENT] + 1, MSG_NOSIGNAL) < 0 &&
               g_atomic_int_get(&self->stop) == 0) {
            g_usleep(20);
        }
    }
    return NULL;
}

/* A pen that is always ready and costs time has its share and no more. */
static void
test_torrent(void)
{
    Bench bench;
    PenRanges none;
    const uint64_t log_id = LOG_ID + 1;

    bench_open(&bench, 10);
    bench.store.slow_log_id = log_id;
    pen_ranges_init(&none);
    g_autoptr(PdProgress) other = pd_progress_new(log_id, &none);
    const uint64_t other_link = pd_reader_open_link(bench.reader, other);
    Torrent torrent = { .fd = add_stream(bench.reader, other_link, PD_STREAM_LIVE),
                        .log_id = log_id };
    GThread *thread = g_thread_new("torrent", pour, &torrent);
    g_usleep(100000);
    for (uint32_t number = 1; number <= 100; number++) {
        send_record(&bench, PD_STREAM_LIVE, number, PEN_BODY_SAMPLES);
    }
    bench_wait(&bench, 100, PD_READER_RECORD, 0);
    /* It was read, too. */
    for (int i = 0; i < 5000 && pd_progress_count_missing(other, 1, N_TORRENT) > 0; i++) {
        g_usleep(1000);
    }
    g_assert_cmpuint(pd_progress_count_missing(other, 1, N_TORRENT), ==, 0);
    g_atomic_int_set(&torrent.stop, 1);
    g_thread_join(thread);
    close(torrent.fd);
    bench_close(&bench);
}

/* F4: what the store has no room for is a gap, never a wait. */
static void
test_full_store(void)
{
    Bench bench;

    bench_open(&bench, 10);
    bench.store.is_full = true;
    send_record(&bench, PD_STREAM_LIVE, 1, PEN_BODY_SESSION_BEGIN);
    bench_wait(&bench, 0, PD_READER_RECORD, 1);
    g_assert_cmpuint(pd_reader_get_counts(bench.reader, bench.link)->n_refused, ==, 1);
    g_assert_cmpuint(pd_progress_count_missing(bench.progress, 1, 1), ==, 1);
    pthread_mutex_lock(&bench.store.lock);
    bench.store.is_full = false;
    pthread_mutex_unlock(&bench.store.lock);
    send_record(&bench, PD_STREAM_STORED, 1, PEN_BODY_SESSION_BEGIN);
    bench_wait(&bench, 1, PD_READER_RECORD, 2);
    g_assert_cmpuint(pd_progress_count_missing(bench.progress, 1, 1), ==, 0);
    bench_close(&bench);
}

/* P6: an ended link is read out, and nothing of it is told any more. */
static void
test_close_link(void)
{
    Bench bench;

    bench_open(&bench, 10000);
    g_usleep(50000);
    for (uint32_t number = 1; number <= 50; number++) {
        send_record(&bench, PD_STREAM_LIVE, number, PEN_BODY_SESSION_BEGIN);
    }
    pd_reader_close_link(bench.reader, bench.link);
    g_assert_null(pd_reader_get_counts(bench.reader, bench.link));
    bench_wait(&bench, 50, PD_READER_RECORD, 0);
    g_assert_cmpuint(bench.n_items[PD_READER_RECORD], ==, 0);
    g_assert_cmpint(pd_reader_get_age_us(bench.reader), <, WAIT_US);
    bench_close(&bench);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reader/stream", test_stream);
    g_test_add_func("/reader/early-frames-lost", test_early_frames_lost);
    g_test_add_func("/reader/lost-segment", test_lost_segment);
    g_test_add_func("/reader/twice", test_twice);
    g_test_add_func("/reader/hup", test_hup);
    g_test_add_func("/reader/empty-message", test_empty_message);
    g_test_add_func("/reader/garbage", test_garbage);
    g_test_add_func("/reader/drain", test_drain);
    g_test_add_func("/reader/endless", test_endless);
    g_test_add_func("/reader/torrent", test_torrent);
    g_test_add_func("/reader/full-store", test_full_store);
    g_test_add_func("/reader/close-link", test_close_link);
    return g_test_run();
}
