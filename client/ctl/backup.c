/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * pentelctl backup: takes the archive from penteld and gives it its name only when the
 * manifest at its end has come.
 */
#include "ctl/command.h"
#include "ctl/run.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BLOCK    512u /* of tar */
#define AT_SIZE  124u
#define SIZE_LEN 11

/* Where in the archive we are: a header, or so many bytes before the next. */
typedef struct {
    guint8 header[BLOCK];
    gsize n_header;
    guint64 left;
    guint64 n_bytes;
    bool has_manifest;
    bool is_bad;
} Archive;

static void
take_header(Archive *self)
{
    char digits[SIZE_LEN + 1] = { 0 };
    char *end = NULL;

    self->n_header = 0;
    if (self->has_manifest) {
        return; /* the zeros that end it */
    }
    memcpy(digits, self->header + AT_SIZE, SIZE_LEN);
    const guint64 size = g_ascii_strtoull(digits, &end, 8);
    self->is_bad = self->header[0] == '\0' || end != digits + SIZE_LEN;
    self->has_manifest = memcmp(self->header, "manifest", sizeof "manifest") == 0;
    self->left = (size + BLOCK - 1) / BLOCK * BLOCK;
}

static void
feed(Archive *self, const guint8 *bytes, gsize n_bytes)
{
    self->n_bytes += n_bytes;
    while (n_bytes > 0 && !self->is_bad) {
        const bool is_header = self->left == 0;
        const gsize n = is_header ? MIN(BLOCK - self->n_header, n_bytes) : MIN(self->left, n_bytes);
        if (is_header) {
            memcpy(self->header + self->n_header, bytes, n);
            self->n_header += n;
        } else {
            self->left -= n;
        }
        bytes += n;
        n_bytes -= n;
        if (self->n_header == BLOCK) {
            take_header(self);
        }
    }
}

static CtlExit
copy(int from, int to, Archive *archive)
{
    guint8 bytes[65536];
    ssize_t n = 0;

    while ((n = read(from, bytes, sizeof bytes)) != 0) {
        if (n < 0 && errno == EINTR) {
            continue;
        }
        const int failure = n < 0 ? errno : cli_output_write(to, bytes, (gsize)n);
        if (failure != 0) {
            return ctl_fail(CTL_EXIT_FAILED, "cannot write the backup: %s", g_strerror(failure));
        }
        feed(archive, bytes, (gsize)n);
    }
    if (archive->is_bad || !archive->has_manifest || archive->left > 0) {
        return ctl_fail(CTL_EXIT_FAILED,
                        "cannot back up: the copy ended early, so no file was made; "
                        "see: journalctl -u penteld");
    }
    return CTL_EXIT_OK;
}

static CtlExit
receive(CtlRun *run, CliFile *file, Archive *archive)
{
    g_autoptr(GError) error = NULL;
    int fd = -1;
    const CtlExit exit_code = ctl_run_open_bus(run, "back up");

    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    g_autoptr(GVariant) reply =
        cli_bus_call_fd(run->bus, CLI_BUS_LOG1, "Backup", NULL, "(h)", &fd, &error);
    if (reply == NULL) {
        return ctl_fail_error("back up", error);
    }
    const CtlExit copied = copy(fd, cli_file_get_fd(file), archive);
    close(fd);
    return copied;
}

static CtlExit
print_json(const char *path, const Archive *archive)
{
    g_autoptr(GString) out = g_string_new(NULL);
    CliJson json = CLI_JSON_INIT(out);

    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "file", path);
    cli_json_uint(&json, "bytes", archive->n_bytes);
    cli_json_close(&json, '}');
    g_string_append_c(out, '\n');
    return ctl_print(out, NULL);
}

CtlExit
ctl_backup(CtlRun *run)
{
    const char *path = run->args.operands[0];
    g_autoptr(GError) error = NULL;
    g_autofree Archive *archive = g_new0(Archive, 1);
    g_autoptr(CliFile) file = cli_file_new(path, &error);

    if (file == NULL) {
        return ctl_fail(CTL_EXIT_FAILED, "cannot write %s: %s", path, error->message);
    }
    const CtlExit exit_code = receive(run, file, archive);
    if (exit_code != CTL_EXIT_OK) {
        return exit_code;
    }
    if (!cli_file_commit(file, &error)) {
        return ctl_fail(CTL_EXIT_FAILED, "cannot write %s: %s", path, error->message);
    }
    return run->is_json ? print_json(path, archive) : CTL_EXIT_OK;
}
