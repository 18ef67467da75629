/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Opens a session's pipe and decides whether what came through it is all.
 */
#include "ctl/stream.h"

#include "ctl/run.h"

#include <unistd.h>

#define PING_TIMEOUT_MS 10000

CtlExit
ctl_stream_open(
    CtlStream *self_out, CtlRun *run, const char *doing, const char *id, const char *format)
{
    g_autoptr(GError) error = NULL;
    const CtlExit exit_code = ctl_run_open_bus(run, doing);

    *self_out = (CtlStream){ .fd = -1 };
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    self_out->owner = cli_bus_dup_owner(run->bus);
    g_autoptr(GVariant) reply = cli_bus_call_fd(run->bus,
                                                CLI_BUS_LOG1,
                                                "StreamSession",
                                                g_variant_new("(ss)", id, format),
                                                "(h)",
                                                &self_out->fd,
                                                &error);
    return reply != NULL ? CTL_EXIT_OK : ctl_fail_error(doing, error);
}

void
ctl_stream_clear(CtlStream *self)
{
    if (self->fd >= 0) {
        close(self->fd);
    }
    self->fd = -1;
    g_clear_pointer(&self->owner, g_free);
}

bool
ctl_stream_is_whole(const CtlStream *self, CtlRun *run)
{
    const CliBusTarget target = { self->owner, "/", "org.freedesktop.DBus.Peer", "Ping" };
    g_autoptr(GVariant) reply =
        self->owner != NULL
            ? cli_bus_call_other(run->bus, &target, NULL, "()", PING_TIMEOUT_MS, NULL)
            : NULL;

    return reply != NULL;
}
