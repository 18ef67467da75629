/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides who gets a pipe and for how long: so many per user and in all, and none for a
 * reader that takes nothing for half a minute while bytes wait. What goes through is
 * the source's affair. A client that left is noticed by the pipe's error condition,
 * also while nothing is written.
 */
#include "service/streams.h"

#include "util/error.h"

#include <gio/gio.h>
#include <glib-unix.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define DEFAULT_PER_UID  4u
#define DEFAULT_TOTAL    32u
#define DEFAULT_STALL_MS 30000u

struct PdServiceStreams {
    PdServiceStreamsConfig config;
    GPtrArray *streams; /* owned container of borrowed PdServiceStream that hold a place */
};

struct PdServiceStream {
    int n_refs;
    PdServiceStreams *streams; /* borrowed; NULL once closed */
    uint32_t uid;
    int fd;            /* write end, non-blocking; -1 when closed or not yet open */
    guint watch_id;    /* of the fd: for room while bytes wait, else for an error */
    bool watches_room; /* which of the two */
    guint stall_id;    /* runs while bytes wait and none go */
    GByteArray *bytes; /* owned; what waits is behind n_written */
    size_t n_written;
    bool is_ending;
    bool is_pulling;                    /* inside pull(), or it promised to answer later */
    const PdServiceStreamSource *funcs; /* borrowed */
    void *source;                       /* borrowed */
};

PdServiceStreams *
pd_service_streams_new(const PdServiceStreamsConfig *config)
{
    PdServiceStreams *self = g_new0(PdServiceStreams, 1);

    self->config = *config;
    self->config.max_per_uid = config->max_per_uid != 0 ? config->max_per_uid : DEFAULT_PER_UID;
    self->config.max_total = config->max_total != 0 ? config->max_total : DEFAULT_TOTAL;
    self->config.stall_ms = config->stall_ms != 0 ? config->stall_ms : DEFAULT_STALL_MS;
    self->streams = g_ptr_array_new();
    return self;
}

void
pd_service_streams_free(PdServiceStreams *self)
{
    if (self == NULL) {
        return;
    }
    for (guint i = self->streams->len; i > 0; i--) {
        pd_service_stream_close(self->streams->pdata[i - 1]);
    }
    g_ptr_array_unref(self->streams);
    g_free(self);
}

uint32_t
pd_service_streams_count(const PdServiceStreams *self)
{
    return self->streams->len;
}

static uint32_t
count_of_uid(const PdServiceStreams *self, uint32_t uid)
{
    uint32_t n = 0;

    for (guint i = 0; i < self->streams->len; i++) {
        const PdServiceStream *stream = self->streams->pdata[i];
        n += stream->uid == uid ? 1 : 0;
    }
    return n;
}

PdServiceStream *
pd_service_stream_new(PdServiceStreams *streams, uint32_t uid, GError **error)
{
    if (streams->streams->len >= streams->config.max_total) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_BUSY,
                    "%u streams are open already; try again when one has ended",
                    streams->config.max_total);
        return NULL;
    }
    if (count_of_uid(streams, uid) >= streams->config.max_per_uid) {
        g_set_error(error,
                    PD_ERROR,
                    PD_ERROR_BUSY,
                    "user %u has %u streams open already; end one first",
                    uid,
                    streams->config.max_per_uid);
        return NULL;
    }
    PdServiceStream *self = g_new0(PdServiceStream, 1);
    self->n_refs = 1;
    self->streams = streams;
    self->uid = uid;
    self->fd = -1;
    self->bytes = g_byte_array_new();
    g_ptr_array_add(streams->streams, self);
    return self;
}

PdServiceStream *
pd_service_stream_ref(PdServiceStream *self)
{
    self->n_refs++;
    return self;
}

static void
give_place_back(PdServiceStream *self)
{
    if (self->streams != NULL) {
        g_ptr_array_remove(self->streams->streams, self);
        self->streams = NULL;
    }
}

/* An open stream holds itself, so the last reference is that of a closed or unused one. */
void
pd_service_stream_unref(PdServiceStream *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    give_place_back(self);
    g_byte_array_unref(self->bytes);
    g_free(self);
}

void
pd_service_stream_close(PdServiceStream *self)
{
    if (self->streams == NULL) {
        return;
    }
    give_place_back(self);
    g_clear_handle_id(&self->watch_id, g_source_remove);
    g_clear_handle_id(&self->stall_id, g_source_remove);
    g_byte_array_set_size(self->bytes, 0);
    self->n_written = 0;
    if (self->fd < 0) {
        return;
    }
    close(self->fd);
    self->fd = -1;
    if (self->funcs->closed != NULL) {
        self->funcs->closed(self->source, self);
    }
    pd_service_stream_unref(self);
}

bool
pd_service_stream_is_closed(const PdServiceStream *self)
{
    return self->streams == NULL;
}

size_t
pd_service_stream_get_waiting(const PdServiceStream *self)
{
    return self->bytes->len - self->n_written;
}

static gboolean
on_stalled(gpointer user_data)
{
    PdServiceStream *self = user_data;

    self->stall_id = 0;
    g_message("a stream of user %u is closed: its reader took nothing for %u ms",
              self->uid,
              self->streams->config.stall_ms);
    pd_service_stream_close(self);
    return G_SOURCE_REMOVE;
}

/* Returns false when the client is gone. */
static bool
write_some(PdServiceStream *self)
{
    const size_t n_waiting = pd_service_stream_get_waiting(self);
    const ssize_t n = write(self->fd, self->bytes->data + self->n_written, n_waiting);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    self->n_written += (size_t)n;
    g_clear_handle_id(&self->stall_id, g_source_remove);
    if (self->n_written == self->bytes->len) {
        g_byte_array_set_size(self->bytes, 0);
        self->n_written = 0;
    }
    return true;
}

static void
pull_more(PdServiceStream *self)
{
    if (self->is_pulling || self->funcs->pull == NULL) {
        return;
    }
    self->is_pulling = true;
    self->funcs->pull(self->source, self);
}

static void watch(PdServiceStream *self);

/* One write per turn of the main loop, so that no reader holds up another. */
static gboolean
on_room(gint fd, GIOCondition condition, gpointer user_data)
{
    g_autoptr(PdServiceStream) self = pd_service_stream_ref(user_data);
    const bool is_gone = (condition & (G_IO_ERR | G_IO_HUP | G_IO_NVAL)) != 0;

    if (is_gone || (pd_service_stream_get_waiting(self) > 0 && !write_some(self))) {
        pd_service_stream_close(self);
        return G_SOURCE_CONTINUE; /* removed by closing */
    }
    if (pd_service_stream_get_waiting(self) == 0 && self->is_ending) {
        pd_service_stream_close(self);
        return G_SOURCE_CONTINUE;
    }
    if (pd_service_stream_get_waiting(self) == 0) {
        pull_more(self);
    }
    watch(self);
    return G_SOURCE_CONTINUE;
}

/* Wakes up for room only while there is something to write. */
static void
watch(PdServiceStream *self)
{
    if (self->fd < 0) {
        return;
    }
    const bool wants_room = pd_service_stream_get_waiting(self) > 0 || self->is_ending;
    if (wants_room && self->stall_id == 0) {
        self->stall_id = g_timeout_add(self->streams->config.stall_ms, on_stalled, self);
    }
    if (self->watch_id != 0 && self->watches_room == wants_room) {
        return;
    }
    g_clear_handle_id(&self->watch_id, g_source_remove);
    self->watches_room = wants_room;
    self->watch_id = g_unix_fd_add(self->fd, wants_room ? G_IO_OUT : G_IO_ERR, on_room, self);
}

int
pd_service_stream_open(PdServiceStream *self,
                       const PdServiceStreamSource *funcs,
                       void *source,
                       GError **error)
{
    int fds[2] = { -1, -1 };

    if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[1], F_SETFL, O_NONBLOCK) < 0) {
        const int saved = errno;
        if (fds[0] >= 0) {
            close(fds[0]);
            close(fds[1]);
        }
        pd_service_stream_close(self);
        g_set_error(error, PD_ERROR, PD_ERROR_FAILED, "make a pipe: %s", g_strerror(saved));
        return -1;
    }
    self->fd = fds[1];
    self->funcs = funcs;
    self->source = source;
    pd_service_stream_ref(self);
    pull_more(self);
    watch(self);
    return fds[0];
}

void
pd_service_stream_push(PdServiceStream *self, const void *bytes, size_t n_bytes)
{
    if (self->fd < 0) {
        return;
    }
    if (self->n_written > 0 && self->n_written >= self->bytes->len / 2) {
        g_byte_array_remove_range(self->bytes, 0, (guint)self->n_written);
        self->n_written = 0;
    }
    g_byte_array_append(self->bytes, bytes, (guint)n_bytes);
    self->is_pulling = false;
    watch(self);
}

void
pd_service_stream_end(PdServiceStream *self)
{
    if (self->fd < 0) {
        return;
    }
    self->is_ending = true;
    self->is_pulling = false;
    watch(self);
}
