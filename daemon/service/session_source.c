/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Reads the store page by page for a stream. A page of samples grows thirtyfold as
 * JSON, so it is turned into lines record by record, as the reader takes them: no turn
 * of the main loop converts more than one chunk.
 */
#include "service/session_source.h"

#include "journal.pb-c.h"
#include "service/sample_lines.h"

struct PdServiceSource {
    int n_refs;         /* the stream's, and one for a page on its way */
    PdService *service; /* ref */
    PdServiceSourceKind kind;
    char *id;       /* owned; of the session */
    uint64_t after; /* cursor */
    uint64_t upto;  /* journal only */
    uint32_t tick_unit;
    GArray *anchors;         /* owned; PenAnchor */
    GBytes *page;            /* ref; being turned into lines */
    size_t n_used;           /* of the page */
    PdServiceStream *stream; /* borrowed; NULL once closed */
};

static PdServiceSource *
source_ref(PdServiceSource *self)
{
    self->n_refs++;
    return self;
}

void
pd_service_source_free(PdServiceSource *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    g_clear_pointer(&self->page, g_bytes_unref);
    g_clear_pointer(&self->anchors, g_array_unref);
    g_free(self->id);
    pd_service_unref(self->service);
    g_free(self);
}

static PdServiceSource *
source_new(PdService *service, PdServiceSourceKind kind)
{
    PdServiceSource *self = g_new0(PdServiceSource, 1);

    self->n_refs = 1;
    service->n_refs++;
    self->service = service;
    self->kind = kind;
    return self;
}

PdServiceSource *
pd_service_source_new_session(PdService *service,
                              PdServiceSourceKind kind,
                              const char *id,
                              uint32_t tick_unit,
                              GArray *anchors)
{
    PdServiceSource *self = source_new(service, kind);

    self->id = g_strdup(id);
    self->tick_unit = tick_unit;
    self->anchors = anchors;
    return self;
}

PdServiceSource *
pd_service_source_new_journal(PdService *service, uint64_t after, uint64_t upto)
{
    PdServiceSource *self = source_new(service, PD_SERVICE_SOURCE_JOURNAL);

    self->after = after;
    self->upto = upto;
    return self;
}

/* Length of the next delimited message; false when the page does not hold it whole. */
static bool
next_message(const uint8_t *bytes, size_t n_bytes, size_t *offset, size_t *n_message_out)
{
    uint64_t length = 0;

    for (unsigned shift = 0; shift < 63 && *offset < n_bytes; shift += 7) {
        const uint8_t byte = bytes[(*offset)++];
        length |= (uint64_t)(byte & 0x7fu) << shift;
        if ((byte & 0x80u) == 0) {
            *n_message_out = (size_t)length;
            return length <= n_bytes - *offset;
        }
    }
    return false;
}

/* What is damaged or no block of samples has no line; the raw stream has it. */
static void
append_record(const PdServiceSource *self, const uint8_t *message, size_t n_message, GString *out)
{
    Pentel__V1__RawRecord *raw = pentel__v1__raw_record__unpack(NULL, n_message, message);
    PenRecordHeader header;
    PenBody body;

    if (raw == NULL) {
        return;
    }
    if (pen_record_check(raw->record.data, raw->record.len, &header) == PEN_STATUS_OK &&
        pen_record_decode(raw->record.data, raw->record.len, &body) == PEN_STATUS_OK &&
        body.kind == PEN_BODY_SAMPLES) {
        pd_service_sample_lines_append_stored(
            out, &header, &body.samples, self->tick_unit, self->anchors);
    }
    pentel__v1__raw_record__free_unpacked(raw, NULL);
}

/* Lines of the page's next records, about a chunk; none when the page is used up. */
static void
convert_some(PdServiceSource *self, GString *out)
{
    size_t n_bytes = 0;
    size_t n_message = 0;
    const uint8_t *bytes = g_bytes_get_data(self->page, &n_bytes);

    while (out->len < PD_SERVICE_STREAM_CHUNK && self->n_used < n_bytes) {
        if (!next_message(bytes, n_bytes, &self->n_used, &n_message)) {
            g_warning("a page of session %s ends inside a record", self->id);
            self->n_used = n_bytes;
            return;
        }
        append_record(self, bytes + self->n_used, n_message, out);
        self->n_used += n_message;
    }
}

static void ask_page(PdServiceSource *self);

static void
give_lines(PdServiceSource *self)
{
    g_autoptr(GString) lines = g_string_new(NULL);

    convert_some(self, lines);
    if (lines->len > 0) {
        pd_service_stream_push(self->stream, lines->str, lines->len);
        return;
    }
    g_clear_pointer(&self->page, g_bytes_unref);
    ask_page(self);
}

/* Lines say that they are all; what broke off would look the same to a reader. */
static void
end_session(PdServiceSource *self)
{
    static const char end[] = "{\"end\":true}\n";

    if (self->kind == PD_SERVICE_SOURCE_LINES) {
        pd_service_stream_push(self->stream, end, sizeof end - 1);
    }
    pd_service_stream_end(self->stream);
}

static void
take_page(PdServiceSource *self, GBytes *page)
{
    size_t n_bytes = 0;
    const void *bytes = g_bytes_get_data(page, &n_bytes);

    if (n_bytes == 0) {
        end_session(self);
        return;
    }
    if (self->kind != PD_SERVICE_SOURCE_LINES) {
        pd_service_stream_push(self->stream, bytes, n_bytes);
        return;
    }
    self->page = g_bytes_ref(page);
    self->n_used = 0;
    give_lines(self);
}

static GBytes *
finish_page(PdServiceSource *self, GAsyncResult *result, GError **error)
{
    uint32_t last = 0;

    if (self->kind == PD_SERVICE_SOURCE_JOURNAL) {
        return pd_store_read_journal_finish(self->service->store, result, &self->after, error);
    }
    GBytes *page = pd_store_read_raw_finish(self->service->store, result, &last, error);
    if (page != NULL && g_bytes_get_size(page) > 0) {
        self->after = last;
    }
    return page;
}

static void
on_page(GObject *object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(PdServiceSource) self = user_data;
    g_autoptr(GError) error = NULL;

    if (self->service->is_closed || self->stream == NULL) {
        return;
    }
    g_autoptr(GBytes) page = finish_page(self, result, &error);
    if (page == NULL) {
        g_warning("a stream breaks off: %s", error->message);
        pd_service_stream_close(self->stream);
        return;
    }
    take_page(self, page);
}

static void
ask_page(PdServiceSource *self)
{
    PdService *service = self->service;

    if (service->is_closed) {
        return;
    }
    if (self->kind == PD_SERVICE_SOURCE_JOURNAL && self->after >= self->upto) {
        pd_service_stream_end(self->stream);
    } else if (self->kind == PD_SERVICE_SOURCE_JOURNAL) {
        pd_store_read_journal_async(service->store,
                                    self->after,
                                    self->upto,
                                    service->cancellable,
                                    on_page,
                                    source_ref(self));
    } else {
        pd_store_read_raw_async(service->store,
                                self->id,
                                (uint32_t)self->after,
                                service->cancellable,
                                on_page,
                                source_ref(self));
    }
}

static void
on_pull(void *source, PdServiceStream *stream)
{
    PdServiceSource *self = source;

    self->stream = stream;
    if (self->page != NULL) {
        give_lines(self);
    } else {
        ask_page(self);
    }
}

static void
on_closed(void *source, PdServiceStream *stream)
{
    PdServiceSource *self = source;

    self->stream = NULL;
    pd_service_source_free(self);
}

const PdServiceStreamSource *
pd_service_source_get_funcs(void)
{
    static const PdServiceStreamSource funcs = { .pull = on_pull, .closed = on_closed };

    return &funcs;
}
