/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides who hears what happens now, and what is left out for a reader that is slower
 * than the pens. Nothing here is durable: what was dropped stands in the log.
 */
#include "service/follow.h"

#include "service/sample_lines.h"

#include <string.h>

typedef struct {
    PdService *service;      /* borrowed; closes all streams before it goes */
    PdServiceStream *stream; /* borrowed; tells us when it closes */
    char *pen;               /* owned; "" for all */
    uint64_t n_dropped;      /* lines, not yet told */
} Follower;

static void
tell_dropped(Follower *self)
{
    if (self->n_dropped == 0) {
        return;
    }
    g_autofree char *line =
        g_strdup_printf("{\"dropped\":%" G_GUINT64_FORMAT "}\n", self->n_dropped);

    self->n_dropped = 0;
    pd_service_stream_push(self->stream, line, strlen(line));
}

static uint64_t
count_lines(const GString *lines)
{
    uint64_t n = 0;

    for (gsize i = 0; i < lines->len; i++) {
        n += lines->str[i] == '\n' ? 1 : 0;
    }
    return n;
}

static void
give(Follower *self, const GString *lines)
{
    const size_t n_waiting = pd_service_stream_get_waiting(self->stream);

    if (n_waiting + lines->len > PD_SERVICE_FOLLOW_QUEUE_MAX) {
        self->n_dropped += count_lines(lines);
        return;
    }
    tell_dropped(self);
    pd_service_stream_push(self->stream, lines->str, lines->len);
}

static void
give_all(PdService *service, const char *serial, const GString *lines)
{
    for (guint i = 0; i < service->followers->len; i++) {
        Follower *follower = service->followers->pdata[i];

        if (follower->pen[0] == '\0' || g_str_equal(follower->pen, serial)) {
            give(follower, lines);
        }
    }
}

/* The queue is empty: the reader catches up, so it hears at once of what it missed. */
static void
on_pull(void *source, PdServiceStream *stream)
{
    tell_dropped(source);
}

static void
on_closed(void *source, PdServiceStream *stream)
{
    Follower *self = source;

    g_ptr_array_remove(self->service->followers, self);
    if (self->service->followers->len == 0 && !self->service->is_closed) {
        pd_pen_manager_set_watched(self->service->pens, false);
    }
    g_free(self->pen);
    g_free(self);
}

int
pd_service_follow_begin(PdService *service,
                        PdServiceStream *stream,
                        const char *pen,
                        GError **error)
{
    static const PdServiceStreamSource funcs = { .pull = on_pull, .closed = on_closed };
    Follower *self = g_new0(Follower, 1);

    self->service = service;
    self->stream = stream;
    self->pen = g_strdup(pen);
    const int fd = pd_service_stream_open(stream, &funcs, self, error);
    if (fd < 0) {
        g_free(self->pen);
        g_free(self);
        return -1;
    }
    if (service->followers->len == 0) {
        pd_pen_manager_set_watched(service->pens, true);
    }
    g_ptr_array_add(service->followers, self);
    return fd;
}

void
pd_service_follow_on_record(void *user_data,
                            const char *serial,
                            uint64_t log_id,
                            const PenRecordHeader *header,
                            const PenBody *body,
                            uint32_t tick_unit)
{
    PdService *self = user_data;
    uint8_t uuid[16];
    char session[37];

    if (self->followers->len == 0) {
        return;
    }
    g_autoptr(GString) lines = g_string_new(NULL);
    if (body->kind == PEN_BODY_SAMPLES) {
        pen_session_uuid(log_id, header->session, uuid);
        pen_uuid_format(uuid, session);
        pd_service_sample_lines_append_live(lines,
                                            serial,
                                            header->session != 0 ? session : NULL,
                                            header,
                                            &body->samples,
                                            tick_unit);
    } else if (body->kind == PEN_BODY_SESSION_BEGIN) {
        pd_service_sample_lines_append_event(lines, serial, "begin");
    } else if (body->kind == PEN_BODY_SESSION_END) {
        pd_service_sample_lines_append_event(lines, serial, "end");
    }
    if (lines->len > 0) {
        give_all(self, serial, lines);
    }
}

void
pd_service_follow_on_link(void *user_data, const char *serial, bool up)
{
    PdService *self = user_data;

    if (self->followers->len == 0) {
        return;
    }
    g_autoptr(GString) line = g_string_new(NULL);
    pd_service_sample_lines_append_event(line, serial, up ? "link-up" : "link-down");
    give_all(self, serial, line);
}
