/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides where log lines go: to the journal with their fields, or to standard error
 * as plain lines. Which of them are shown is GLib's usual G_MESSAGES_DEBUG.
 */
#include "util/log.h"

#include <stdio.h>

#define N_FIELDS_MAX 8

static const char *
find_field(const GLogField *fields, gsize n_fields, const char *key)
{
    for (gsize i = 0; i < n_fields; i++) {
        if (g_strcmp0(fields[i].key, key) == 0 && fields[i].length < 0) {
            return fields[i].value;
        }
    }
    return NULL;
}

static GLogWriterOutput
write_line(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
    const char *domain = find_field(fields, n_fields, "GLIB_DOMAIN");
    const char *message = find_field(fields, n_fields, "MESSAGE");

    if (g_log_writer_default_would_drop(level, domain)) {
        return G_LOG_WRITER_HANDLED;
    }
    if (g_log_writer_is_journald(fileno(stderr)) &&
        g_log_writer_journald(level, fields, n_fields, NULL) == G_LOG_WRITER_HANDLED) {
        return G_LOG_WRITER_HANDLED;
    }
    (void)fprintf(stderr,
                  "%s: %s\n",
                  domain != NULL ? domain : "penteld",
                  message != NULL ? message : "(no text)");
    return G_LOG_WRITER_HANDLED;
}

void
pd_log_setup(void)
{
    g_log_set_writer_func(write_line, NULL, NULL);
}

static void
add_field(GLogField *fields, gsize *n_fields, const char *key, const char *value)
{
    if (value != NULL) {
        fields[(*n_fields)++] = (GLogField){ .key = key, .value = value, .length = -1 };
    }
}

void
pd_log_event(const char *domain, const PdLogEvent *event, const char *format, ...)
{
    va_list arguments;
    GLogField fields[N_FIELDS_MAX];
    gsize n_fields = 0;
    char uid[16];

    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_snprintf(uid, sizeof uid, "%" G_GUINT32_FORMAT, event->uid);
    add_field(fields, &n_fields, "MESSAGE", message);
    add_field(fields, &n_fields, "PRIORITY", "5");
    add_field(fields, &n_fields, "GLIB_DOMAIN", domain);
    add_field(fields, &n_fields, "MESSAGE_ID", event->message_id);
    add_field(fields, &n_fields, "PEN_ID", event->pen_id);
    add_field(fields, &n_fields, "SESSION_ID", event->session_id);
    add_field(fields, &n_fields, "PENTEL_UID", event->has_uid ? uid : NULL);
    g_log_structured_array(G_LOG_LEVEL_MESSAGE, fields, n_fields);
}
