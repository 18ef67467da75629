/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides which words mean which time. The local zone is that of the process; "now" is an
 * argument, so that a test can say when it is.
 */
#include "lib/time.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *word;
    int64_t us;
} Unit;

static const Unit units[] = {
    { "s", G_USEC_PER_SEC },
    { "sec", G_USEC_PER_SEC },
    { "second", G_USEC_PER_SEC },
    { "min", 60LL * G_USEC_PER_SEC },
    { "m", 60LL * G_USEC_PER_SEC },
    { "minute", 60LL * G_USEC_PER_SEC },
    { "h", 3600LL * G_USEC_PER_SEC },
    { "hour", 3600LL * G_USEC_PER_SEC },
    { "d", 86400LL * G_USEC_PER_SEC },
    { "day", 86400LL * G_USEC_PER_SEC },
    { "w", 7 * 86400LL * G_USEC_PER_SEC },
    { "week", 7 * 86400LL * G_USEC_PER_SEC },
};

static int64_t
to_wall_us(GDateTime *time)
{
    return g_date_time_to_unix(time) * G_USEC_PER_SEC + g_date_time_get_microsecond(time);
}

static GDateTime *
from_wall_us(int64_t wall_us, bool is_local)
{
    int64_t seconds = wall_us / G_USEC_PER_SEC;
    int64_t rest_us = wall_us % G_USEC_PER_SEC;

    if (rest_us < 0) {
        rest_us += G_USEC_PER_SEC;
        seconds--;
    }
    g_autoptr(GDateTime) whole = is_local ? g_date_time_new_from_unix_local(seconds)
                                          : g_date_time_new_from_unix_utc(seconds);
    return whole != NULL ? g_date_time_add(whole, rest_us) : NULL;
}

static bool
day_start(int year, int month, int day, int64_t *out)
{
    g_autoptr(GDateTime) time = g_date_time_new_local(year, month, day, 0, 0, 0);

    if (time == NULL) {
        return false;
    }
    *out = to_wall_us(time);
    return true;
}

/* A day in the calendar, not 24 hours: zones change their clocks. */
static bool
day_near(int64_t wall_us, int add_days, int64_t *out)
{
    g_autoptr(GDateTime) time = from_wall_us(wall_us, true);
    g_autoptr(GDateTime) day = time != NULL ? g_date_time_add_days(time, add_days) : NULL;

    return day != NULL && day_start(g_date_time_get_year(day),
                                    g_date_time_get_month(day),
                                    g_date_time_get_day_of_month(day),
                                    out);
}

static bool
whole_day(int64_t start_us, bool is_end, int64_t *out)
{
    if (!is_end) {
        *out = start_us;
        return true;
    }
    int64_t next_us = 0;
    if (!day_near(start_us, 1, &next_us)) {
        return false;
    }
    *out = next_us - 1;
    return true;
}

static bool
parse_word(const char *text, bool is_end, int64_t now_us, int64_t *out)
{
    int64_t start_us = 0;

    if (strcmp(text, "now") == 0) {
        *out = now_us;
        return true;
    }
    if (strcmp(text, "today") == 0) {
        return day_near(now_us, 0, &start_us) && whole_day(start_us, is_end, out);
    }
    if (strcmp(text, "yesterday") == 0) {
        return day_near(now_us, -1, &start_us) && whole_day(start_us, is_end, out);
    }
    return false;
}

static bool
parse_ago(const char *text, int64_t now_us, int64_t *out)
{
    char *end = NULL;
    const guint64 count = g_ascii_isdigit(text[0]) ? g_ascii_strtoull(text, &end, 10) : 0;
    char unit[8];
    int n_read = 0;

    if (end == NULL || end == text || count > 100000) {
        return false;
    }
    if (sscanf(end, " %7[a-z] ago%n", unit, &n_read) != 1 || n_read == 0 || end[n_read] != '\0') {
        return false;
    }
    const size_t length = strlen(unit);
    if (length > 3 && unit[length - 1] == 's') {
        unit[length - 1] = '\0';
    }
    for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
        if (strcmp(unit, units[i].word) == 0) {
            *out = now_us - (int64_t)count * units[i].us;
            return true;
        }
    }
    return false;
}

/* Exactly the digits of @shape's 0s and its other characters. */
static bool
has_shape(const char *text, const char *shape)
{
    if (strlen(text) != strlen(shape)) {
        return false;
    }
    for (; *shape != '\0'; shape++, text++) {
        if (*shape == '0' ? !g_ascii_isdigit(*text) : *text != *shape) {
            return false;
        }
    }
    return true;
}

static int
number_at(const char *text, int offset, int n_digits)
{
    int value = 0;

    for (int i = offset; i < offset + n_digits; i++) {
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

static bool
parse_date(const char *text, bool is_end, int64_t *out)
{
    const bool has_seconds = has_shape(text, "0000-00-00 00:00:00");
    int64_t start_us = 0;

    if (has_shape(text, "0000-00-00")) {
        return day_start(number_at(text, 0, 4),
                         number_at(text, 5, 2),
                         number_at(text, 8, 2),
                         &start_us) &&
               whole_day(start_us, is_end, out);
    }
    if (!has_seconds && !has_shape(text, "0000-00-00 00:00")) {
        return false;
    }
    g_autoptr(GDateTime) time = g_date_time_new_local(number_at(text, 0, 4),
                                                      number_at(text, 5, 2),
                                                      number_at(text, 8, 2),
                                                      number_at(text, 11, 2),
                                                      number_at(text, 14, 2),
                                                      has_seconds ? number_at(text, 17, 2) : 0);
    if (time == NULL) {
        return false;
    }
    *out = to_wall_us(time);
    return true;
}

static bool
parse_clock(const char *text, int64_t now_us, int64_t *out)
{
    g_autoptr(GDateTime) now = from_wall_us(now_us, true);

    if (now == NULL || !has_shape(text, "00:00")) {
        return false;
    }
    g_autoptr(GDateTime) time = g_date_time_new_local(g_date_time_get_year(now),
                                                      g_date_time_get_month(now),
                                                      g_date_time_get_day_of_month(now),
                                                      number_at(text, 0, 2),
                                                      number_at(text, 3, 2),
                                                      0);
    if (time == NULL) {
        return false;
    }
    *out = to_wall_us(time);
    return true;
}

bool
cli_time_parse(const char *text, bool is_end, int64_t now_us, int64_t *wall_us_out)
{
    return parse_word(text, is_end, now_us, wall_us_out) || parse_ago(text, now_us, wall_us_out) ||
           parse_date(text, is_end, wall_us_out) || parse_clock(text, now_us, wall_us_out) ||
           cli_time_from_rfc3339(text, wall_us_out);
}

bool
cli_time_from_rfc3339(const char *text, int64_t *wall_us_out)
{
    const char *clock = strchr(text, 'T');

    if (clock == NULL || strlen(text) < strlen("0000-00-00T00:00:00")) {
        return false;
    }
    g_autoptr(GTimeZone) local = g_time_zone_new_local();
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, local);
    if (time == NULL) {
        return false;
    }
    *wall_us_out = to_wall_us(time);
    return true;
}

char *
cli_time_to_rfc3339(int64_t wall_us)
{
    g_autoptr(GDateTime) time = from_wall_us(wall_us, false);

    if (time == NULL) {
        return NULL;
    }
    g_autofree char *head = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
    return g_strdup_printf("%s.%03dZ", head, g_date_time_get_microsecond(time) / 1000);
}

char *
cli_time_to_local(int64_t wall_us, bool with_seconds)
{
    g_autoptr(GDateTime) time = from_wall_us(wall_us, true);

    if (time == NULL) {
        return g_strdup("unknown");
    }
    return g_date_time_format(time, with_seconds ? "%Y-%m-%d %H:%M:%S" : "%Y-%m-%d %H:%M");
}

char *
cli_time_show(const char *text, bool with_seconds)
{
    int64_t wall_us = 0;

    if (text == NULL || !cli_time_from_rfc3339(text, &wall_us)) {
        return g_strdup("unknown");
    }
    return cli_time_to_local(wall_us, with_seconds);
}

char *
cli_duration_show(uint64_t duration_ms)
{
    const uint64_t seconds = (duration_ms + 500) / 1000;

    if (seconds < 3600) {
        return g_strdup_printf("%u:%02u", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT ":%02u:%02u",
                           seconds / 3600,
                           (unsigned)(seconds / 60 % 60),
                           (unsigned)(seconds % 60));
}
