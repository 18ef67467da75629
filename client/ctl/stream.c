/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Opens a session's pipe, and knows the line that says that all of it came.
 */
#include "ctl/stream.h"

#include "ctl/run.h"

#include <string.h>
#include <unistd.h>

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
}

bool
ctl_stream_is_end(const char *line)
{
    return strcmp(line, "{\"end\":true}") == 0;
}
