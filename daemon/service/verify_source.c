/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * A verification for a stream: step by step, each finding a line as it is found.
 */
#include "service/verify_source.h"

#include "service/sample_lines.h"

struct PdServiceVerify {
    int n_refs;         /* the stream's, and one for a step on its way */
    PdService *service; /* ref */
    PdVerify *verify;   /* owned */
    uint64_t n_findings;
    PdServiceStream *stream; /* borrowed; NULL once closed */
};

PdServiceVerify *
pd_service_verify_new(PdService *service, PdVerify *verify)
{
    PdServiceVerify *self = g_new0(PdServiceVerify, 1);

    self->n_refs = 1;
    service->n_refs++;
    self->service = service;
    self->verify = verify;
    return self;
}

void
pd_service_verify_free(PdServiceVerify *self)
{
    if (--self->n_refs > 0) {
        return;
    }
    pd_verify_free(self->verify);
    pd_service_unref(self->service);
    g_free(self);
}

static void
append_text(GString *out, const char *key, const char *text)
{
    g_string_append_printf(out, "\"%s\":", key);
    pd_service_json_append_string(out, text);
}

static void
append_findings(PdServiceVerify *self, const GPtrArray *findings, GString *out)
{
    for (guint i = 0; i < findings->len; i++) {
        const PdFinding *finding = g_ptr_array_index(findings, i);
        g_string_append_c(out, '{');
        append_text(out, "where", finding->where);
        g_string_append_c(out, ',');
        append_text(out, "what", finding->what);
        g_string_append(out, "}\n");
    }
    self->n_findings += findings->len;
}

static void
append_end(const PdServiceVerify *self, GString *out)
{
    PdVerifySummary summary;

    pd_verify_get_summary(self->verify, &summary);
    g_string_append(out, "{\"end\":true,");
    append_text(out, "store_id", summary.store_id);
    g_string_append_printf(out, ",\"head\":%" G_GUINT64_FORMAT ",\"hash\":\"", summary.head);
    for (size_t i = 0; i < sizeof summary.head_hash; i++) {
        g_string_append_printf(out, "%02x", summary.head_hash[i]);
    }
    g_string_append_printf(out,
                           "\",\"entries\":%" G_GUINT64_FORMAT ",\"sessions\":%" G_GUINT64_FORMAT
                           ",\"records\":%" G_GUINT64_FORMAT ",\"findings\":%" G_GUINT64_FORMAT
                           "}\n",
                           summary.n_entries,
                           summary.n_sessions,
                           summary.n_records,
                           self->n_findings);
}

static void ask_step(PdServiceVerify *self);

static void
on_step(GObject *object, GAsyncResult *result, gpointer user_data)
{
    PdServiceVerify *self = user_data;
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    bool done = false;

    if (self->service->is_closed || self->stream == NULL) {
        pd_service_verify_free(self);
        return;
    }
    g_autoptr(GPtrArray) findings =
        pd_store_verify_finish(self->service->store, result, &done, &error);
    if (findings == NULL) {
        g_warning("a verification breaks off: %s", error->message);
        pd_service_stream_close(self->stream);
        pd_service_verify_free(self);
        return;
    }
    append_findings(self, findings, out);
    if (done) {
        append_end(self, out);
    }
    if (out->len > 0) {
        pd_service_stream_push(self->stream, out->str, out->len);
    }
    if (done) {
        pd_service_stream_end(self->stream);
    } else if (out->len == 0) {
        ask_step(self);
    }
    pd_service_verify_free(self);
}

static void
ask_step(PdServiceVerify *self)
{
    if (self->service->is_closed) {
        return;
    }
    self->n_refs++;
    pd_store_verify_async(
        self->service->store, self->verify, self->service->cancellable, on_step, self);
}

static void
on_pull(void *source, PdServiceStream *stream)
{
    PdServiceVerify *self = source;

    self->stream = stream;
    ask_step(self);
}

static void
on_closed(void *source, PdServiceStream *stream)
{
    PdServiceVerify *self = source;

    self->stream = NULL;
    pd_service_verify_free(self);
}

const PdServiceStreamSource *
pd_service_verify_get_funcs(void)
{
    static const PdServiceStreamSource funcs = { .pull = on_pull, .closed = on_closed };

    return &funcs;
}
