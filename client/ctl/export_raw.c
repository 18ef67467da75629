/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The export of raw records: bytes as they are, counted, so that a stream which ends early
 * is not taken for a whole one.
 */
#include "ctl/export_raw.h"

#include "ctl/run.h"
#include "ctl/stream.h"
#include "lib/dict.h"

#include <errno.h>
#include <unistd.h>

#define LENGTH_BITS_MAX 28 /* 256 MiB a record: nothing is that long */

CtlExit
ctl_export_fail_cut(const char *id)
{
    return ctl_fail(CTL_EXIT_FAILED,
                    "cannot export session %s: its records ended early; "
                    "see: journalctl -u penteld, then export it again",
                    id);
}

static void
feed_length(CtlDelimited *self, guint8 byte)
{
    self->length |= (guint64)(byte & 0x7f) << self->shift;
    self->shift += 7;
    if (byte < 0x80) {
        self->n_left = self->length;
        self->length = 0;
        self->shift = 0;
        self->n_messages += self->n_left == 0;
    } else if (self->shift >= LENGTH_BITS_MAX) {
        self->is_bad = true;
    }
}

void
ctl_delimited_feed(CtlDelimited *self, const guint8 *bytes, gsize n_bytes)
{
    gsize done = 0;

    while (done < n_bytes && !self->is_bad) {
        if (self->n_left == 0) {
            feed_length(self, bytes[done++]);
            continue;
        }
        const gsize n = MIN(self->n_left, n_bytes - done);
        done += n;
        self->n_left -= n;
        self->n_messages += self->n_left == 0;
    }
}

bool
ctl_delimited_is_whole(const CtlDelimited *self)
{
    return !self->is_bad && self->n_left == 0 && self->shift == 0;
}

/* How many records the session says are here; 0 when it does not say. */
static guint64
count_expected(GVariant *session)
{
    g_autoptr(GVariant) records = cli_dict_get(session, "records", "a{sv}");
    uint64_t first = 0;
    uint64_t last = 0;

    if (records == NULL || !cli_dict_get_uint(records, "first", &first) ||
        !cli_dict_get_uint(records, "last", &last) || last < first) {
        return 0;
    }
    g_autoptr(GVariant) missing = cli_dict_get(records, "missing", "a(uus)");
    const gsize n = missing != NULL ? g_variant_n_children(missing) : 0;
    guint64 n_records = last - first + 1;
    for (gsize i = 0; i < n; i++) {
        guint32 from = 0;
        guint32 to = 0;
        g_variant_get_child(missing, i, "(uu&s)", &from, &to, NULL);
        n_records -= MIN(n_records, to >= from ? (guint64)to - from + 1 : 0);
    }
    return n_records;
}

static bool
copy(int fd, CtlSink *sink, CtlDelimited *delimited)
{
    guint8 bytes[16384];

    while (sink->error == 0 && !delimited->is_bad) {
        const ssize_t n_read = read(fd, bytes, sizeof bytes);
        if (n_read == 0) {
            return true;
        }
        if (n_read < 0 && errno != EINTR) {
            return false;
        }
        if (n_read > 0) {
            ctl_delimited_feed(delimited, bytes, (gsize)n_read);
            g_string_append_len(sink->pending, (const char *)bytes, n_read);
            ctl_sink_poll(sink);
        }
    }
    return false;
}

CtlExit
ctl_export_raw(CtlRun *run, CtlSink *sink, const char *id, GVariant *session)
{
    CtlStream stream = { .fd = -1 };
    CtlDelimited delimited = { 0 };
    const CtlExit exit_code = ctl_stream_open(&stream, run, "export the session", id, "raw");

    if (exit_code != CTL_EXIT_OK) {
        ctl_stream_clear(&stream);
        return exit_code;
    }
    const bool is_whole = copy(stream.fd, sink, &delimited) && ctl_delimited_is_whole(&delimited) &&
                          delimited.n_messages >= count_expected(session);
    ctl_stream_clear(&stream);
    return is_whole || sink->error != 0 ? CTL_EXIT_OK : ctl_export_fail_cut(id);
}
