/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl watch: the live view, at most ten frames a second, and the same lines as JSON
 * for who reads them with a program.
 */
#include "ctl/command.h"
#include "ctl/follow.h"
#include "ctl/live.h"
#include "ctl/live_draw.h"
#include "ctl/run.h"
#include "lib/output.h"
#include "lib/screen.h"
#include "lib/time.h"

#include <glib-unix.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define FRAME_MS 100
#define CLOCK_MS 1000

typedef struct {
    CtlRun *run;     /* borrowed */
    const char *pen; /* borrowed; "" for all */
    GMainLoop *loop; /* owned */
    GString *frame;  /* owned; kept for its memory */
    char *trouble;   /* owned; NULL while following */
    CtlLive live;
    CliScreen screen;
    int64_t drawn_us; /* monotonic */
    guint frame_source;
    int write_error; /* errno */
    bool is_lost;    /* the bus is gone */
    bool is_picture; /* else lines */
    bool is_over;    /* the terminal is given back: nothing is drawn any more */
} Watch;

static void
draw(Watch *self)
{
    g_autofree char *now = cli_time_to_local(g_get_real_time(), true);
    const char *clock = strchr(now, ' ');

    self->drawn_us = g_get_monotonic_time();
    g_string_truncate(self->frame, 0);
    ctl_live_draw(
        &self->live, &self->run->out, clock != NULL ? clock + 1 : now, self->trouble, self->frame);
    self->write_error = cli_output_write(STDOUT_FILENO, self->frame->str, self->frame->len);
    if (self->write_error != 0) {
        g_main_loop_quit(self->loop);
    }
}

static gboolean
on_frame_due(gpointer user_data)
{
    Watch *self = user_data;

    self->frame_source = 0;
    draw(self);
    return G_SOURCE_REMOVE;
}

/* Whatever comes meanwhile is in the frame that is already due. */
static void
want_frame(Watch *self)
{
    if (!self->is_picture || self->is_over || self->frame_source != 0) {
        return;
    }
    const int64_t age_ms = (g_get_monotonic_time() - self->drawn_us) / 1000;
    const guint wait_ms = age_ms >= FRAME_MS ? 0 : (guint)(FRAME_MS - age_ms);
    self->frame_source = g_timeout_add(wait_ms, on_frame_due, self);
}

static bool
is_plain(const char *line)
{
    for (; *line != '\0'; line++) {
        if ((unsigned char)*line < 0x20 || *line == 0x7f) {
            return false;
        }
    }
    return true;
}

static void
pass_on(Watch *self, char *line)
{
    if (line[0] != '{' || !is_plain(line) || self->write_error != 0) {
        return;
    }
    const size_t n = strlen(line);
    line[n] = '\n';
    self->write_error = cli_output_write(STDOUT_FILENO, line, n + 1);
    if (self->write_error != 0) {
        g_main_loop_quit(self->loop);
    }
}

static void
on_line(void *user_data, char *line)
{
    Watch *self = user_data;

    if (!self->is_picture) {
        pass_on(self, line);
    } else if (ctl_live_feed(&self->live, line)) {
        want_frame(self);
    }
}

static void
on_pens(void *user_data, GVariant *pens)
{
    Watch *self = user_data;

    if (self->is_picture) {
        ctl_live_set_pens(&self->live, pens, self->pen[0] != '\0' ? self->pen : NULL);
        want_frame(self);
    }
}

static void
on_state(void *user_data, const char *trouble)
{
    Watch *self = user_data;

    g_free(self->trouble);
    self->trouble = g_strdup(trouble);
    if (trouble != NULL) {
        ctl_live_unlink_all(&self->live);
    }
    want_frame(self);
}

static void
on_lost(void *user_data)
{
    Watch *self = user_data;

    self->is_lost = true;
    g_main_loop_quit(self->loop);
}

static gboolean
on_end(gpointer user_data)
{
    Watch *self = user_data;

    g_main_loop_quit(self->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_resize(gpointer user_data)
{
    Watch *self = user_data;

    cli_term_update_size(&self->run->out);
    want_frame(self);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_clock(gpointer user_data)
{
    want_frame(user_data);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_key(gint fd, GIOCondition condition, gpointer user_data)
{
    Watch *self = user_data;
    char keys[64];
    const ssize_t n = read(fd, keys, sizeof keys);

    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    for (ssize_t i = 0; i < n; i++) {
        if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == '\004') {
            g_main_loop_quit(self->loop);
        }
    }
    return G_SOURCE_CONTINUE;
}

static void
run_loop(Watch *self)
{
    g_unix_signal_add(SIGINT, on_end, self);
    g_unix_signal_add(SIGTERM, on_end, self);
    g_unix_signal_add(SIGHUP, on_end, self);
    if (self->is_picture) {
        g_unix_signal_add(SIGWINCH, on_resize, self);
        cli_screen_enter(&self->screen, STDOUT_FILENO, STDIN_FILENO);
        g_timeout_add(CLOCK_MS, on_clock, self);
        if (self->screen.in_fd >= 0) {
            g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, on_key, self);
        }
        want_frame(self);
    }
    g_main_loop_run(self->loop);
    self->is_over = true;
    g_clear_handle_id(&self->frame_source, g_source_remove);
    cli_screen_leave(&self->screen);
}

static CtlExit
judge(const Watch *self)
{
    if (self->is_lost) {
        return ctl_fail(CTL_EXIT_NO_DAEMON,
                        "the connection to D-Bus was closed; see: systemctl status dbus");
    }
    if (self->write_error != 0 && self->write_error != EPIPE) {
        return ctl_fail(CTL_EXIT_FAILED,
                        "cannot write the output: %s; look at where it goes to",
                        g_strerror(self->write_error));
    }
    return CTL_EXIT_OK;
}

CtlExit
ctl_watch(CtlRun *run)
{
    static const CtlFollowListener listener = { on_line, on_pens, on_state, on_lost };
    g_autoptr(GError) error = NULL;
    Watch self = { .run = run, .pen = run->args.n_operands > 0 ? run->args.operands[0] : "" };
    const CtlExit exit_code = ctl_run_open_bus(run, "follow the pens");

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_autoptr(CtlFollow) follow = ctl_follow_new(run->bus, self.pen, &listener, &self, &error);
    if (follow == NULL) {
        return ctl_fail_error("follow the pens", error);
    }
    self.is_picture = run->out.has_cursor && !run->is_json;
    self.loop = g_main_loop_new(NULL, FALSE);
    self.frame = g_string_new(NULL);
    ctl_live_init(&self.live);
    run_loop(&self);
    ctl_follow_free(g_steal_pointer(&follow));
    ctl_live_clear(&self.live);
    g_string_free(self.frame, TRUE);
    g_main_loop_unref(self.loop);
    g_free(self.trouble);
    return judge(&self);
}
