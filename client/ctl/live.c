/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Turns live lines into what a person wants to see of a pen that treats.
 */
#include "ctl/live.h"

#include "ctl/pen.h"
#include "lib/dict.h"
#include "lib/flat.h"

#include <string.h>

#define HOLD_MAX_US 200000 /* as in bins.c: what a sample may stand for */
#define PENS_MAX    256

static void
free_pen(gpointer data)
{
    CtlLivePen *pen = data;

    g_free(pen->serial);
    g_free(pen->state);
    g_free(pen->session);
    g_free(pen);
}

void
ctl_live_init(CtlLive *self)
{
    *self = (CtlLive){ .pens = g_ptr_array_new_with_free_func(free_pen) };
}

void
ctl_live_clear(CtlLive *self)
{
    g_clear_pointer(&self->pens, g_ptr_array_unref);
}

static CtlLivePen *
find_pen(const CtlLive *self, const char *serial)
{
    for (guint i = 0; i < self->pens->len; i++) {
        CtlLivePen *pen = g_ptr_array_index(self->pens, i);
        if (strcmp(pen->serial, serial) == 0) {
            return pen;
        }
    }
    return NULL;
}

static gint
compare_pens(gconstpointer a, gconstpointer b)
{
    const CtlLivePen *const *left = a;
    const CtlLivePen *const *right = b;

    return strcmp((*left)->serial, (*right)->serial);
}

static CtlLivePen *
get_pen(CtlLive *self, const char *serial)
{
    CtlLivePen *pen = find_pen(self, serial);

    if (pen != NULL || self->pens->len >= PENS_MAX) {
        return pen;
    }
    pen = g_new0(CtlLivePen, 1);
    pen->serial = g_strdup(serial);
    pen->battery_pct = -1;
    g_ptr_array_add(self->pens, pen);
    g_ptr_array_sort(self->pens, compare_pens);
    return pen;
}

static void
begin_session(CtlLivePen *pen, const char *session)
{
    g_free(pen->session);
    pen->session = g_strdup(session);
    pen->has_sample = false;
    pen->contact_us = 0;
    pen->max_um = 0;
    memset(pen->bins, 0, sizeof pen->bins);
}

static void
add_to_bins(CtlLivePen *pen)
{
    const int64_t index = pen->tick_us / CTL_LIVE_BIN_US;
    const int64_t first = MAX(pen->bin_index + 1, index - CTL_LIVE_BINS + 1);

    for (int64_t i = first; i <= index; i++) {
        pen->bins[i % CTL_LIVE_BINS] = (CtlLiveBin){ 0 };
    }
    pen->bin_index = index;
    CtlLiveBin *bin = &pen->bins[index % CTL_LIVE_BINS];
    bin->has_sample = true;
    if (pen->has_contact && pen->depth_um >= 0) {
        bin->has_contact = true;
        bin->max_um = MAX(bin->max_um, (uint32_t)pen->depth_um);
    }
}

/* A sample that is older than the last one was sent again, and is known. */
static bool
add_sample(CtlLivePen *pen, const CliFlat *flat)
{
    int64_t tick_us = 0;
    int64_t depth_um = -1;
    bool has_contact = false;

    if (!cli_flat_get_int(flat, "tick_us", &tick_us) || tick_us < 0 ||
        (pen->has_sample && tick_us <= pen->tick_us)) {
        return false;
    }
    cli_flat_get_bool(flat, "contact", &has_contact);
    cli_flat_get_int(flat, "depth_um", &depth_um);
    if (pen->has_sample && pen->has_contact && tick_us - pen->tick_us <= HOLD_MAX_US) {
        pen->contact_us += (uint64_t)(tick_us - pen->tick_us);
    }
    if (!pen->has_sample) {
        pen->first_tick_us = tick_us;
        pen->bin_index = tick_us / CTL_LIVE_BIN_US - 1;
    }
    pen->has_sample = true;
    pen->tick_us = tick_us;
    pen->has_contact = has_contact;
    pen->depth_um = depth_um >= 0 && depth_um <= UINT16_MAX ? depth_um : -1;
    pen->rate_dhz = -1;
    pen->load_permille = -1;
    cli_flat_get_int(flat, "rate_dhz", &pen->rate_dhz);
    cli_flat_get_int(flat, "load_permille", &pen->load_permille);
    if (has_contact && pen->depth_um > pen->max_um) {
        pen->max_um = (uint32_t)pen->depth_um;
    }
    add_to_bins(pen);
    return true;
}

static bool
add_event(CtlLivePen *pen, const char *event, const char *session)
{
    if (strcmp(event, "end") == 0) {
        g_clear_pointer(&pen->session, g_free);
        pen->has_contact = false;
    } else if (strcmp(event, "link-up") == 0) {
        pen->is_linked = true;
    } else if (strcmp(event, "link-down") == 0) {
        pen->is_linked = false;
        pen->has_contact = false;
    } else if (strcmp(event, "begin") == 0) {
        begin_session(pen, session);
    } else {
        return false;
    }
    return true;
}

bool
ctl_live_feed(CtlLive *self, char *line)
{
    CliFlat flat;
    int64_t n_dropped = 0;

    if (!cli_flat_parse(line, &flat)) {
        self->n_bad++;
        return false;
    }
    if (cli_flat_get_int(&flat, "dropped", &n_dropped) && n_dropped > 0) {
        self->n_dropped += (uint64_t)n_dropped;
        return true;
    }
    const char *serial = cli_flat_get_text(&flat, "pen");
    const char *event = cli_flat_get_text(&flat, "event");
    const char *session = cli_flat_get_text(&flat, "session");
    CtlLivePen *pen = serial != NULL && serial[0] != '\0' ? get_pen(self, serial) : NULL;
    if (pen == NULL) {
        return false;
    }
    if (event == NULL && session != NULL && g_strcmp0(session, pen->session) != 0) {
        begin_session(pen, session);
    }
    return event != NULL ? add_event(pen, event, session) : add_sample(pen, &flat);
}

static bool
is_listed(GVariant *pens, const char *serial)
{
    const gsize n = g_variant_n_children(pens);

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) pen = g_variant_get_child_value(pens, i);
        if (g_strcmp0(cli_dict_get_text(pen, "Serial"), serial) == 0) {
            return true;
        }
    }
    return false;
}

void
ctl_live_set_pens(CtlLive *self, GVariant *pens, const char *only)
{
    const gsize n = g_variant_n_children(pens);

    for (guint i = self->pens->len; i > 0; i--) {
        const CtlLivePen *pen = g_ptr_array_index(self->pens, i - 1);
        if (!is_listed(pens, pen->serial)) {
            g_ptr_array_remove_index(self->pens, i - 1);
        }
    }
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) item = g_variant_get_child_value(pens, i);
        const char *serial = cli_dict_get_text(item, "Serial");
        const bool is_wanted = serial != NULL && (only == NULL || strcmp(only, serial) == 0);
        CtlLivePen *pen = is_wanted ? get_pen(self, serial) : NULL;
        if (pen == NULL) {
            continue;
        }
        g_free(pen->state);
        pen->state = g_strdup(cli_dict_get_text(item, "State"));
        pen->battery_pct = ctl_pen_get_battery(item);
        pen->is_linked = ctl_pen_is_linked(item);
        pen->is_stopped = ctl_pen_is_stopped(item);
    }
}

void
ctl_live_unlink_all(CtlLive *self)
{
    for (guint i = 0; i < self->pens->len; i++) {
        CtlLivePen *pen = g_ptr_array_index(self->pens, i);
        g_clear_pointer(&pen->state, g_free);
        pen->is_linked = false;
        pen->has_contact = false;
    }
}
