/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * A Bluetooth dongle that can be pulled: carries HCI packets between /dev/vhci and a socket
 * of btvirt -s. While it runs the controller is plugged in; when it ends it is not, and
 * stopped by a signal it is a radio that neither hears nor answers.
 *
 * relay SOCKET
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VENDOR_PACKET  0xFFu
#define CREATE_PRIMARY 0x00u
#define PACKET_MAX     4096u

/* What has come from the stream and is no whole packet yet. */
typedef struct {
    uint8_t bytes[2 * PACKET_MAX];
    size_t n_bytes;
} Stream;

static bool
write_all(int fd, const uint8_t *bytes, size_t n_bytes)
{
    for (size_t at = 0; at < n_bytes;) {
        const ssize_t n = write(fd, bytes + at, n_bytes - at);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        at += n > 0 ? (size_t)n : 0u;
    }
    return true;
}

/* Length of the H4 packet that begins here; 0 while its header is not complete. */
static size_t
packet_length(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes >= 3 && bytes[0] == 0x04) {
        return 3u + bytes[2];
    }
    if (n_bytes >= 4 && (bytes[0] == 0x01 || bytes[0] == 0x03)) {
        return 4u + bytes[3];
    }
    if (n_bytes >= 5 && (bytes[0] == 0x02 || bytes[0] == 0x05)) {
        return 5u + bytes[3] + ((size_t)(bytes[4] & 0x3Fu) << 8);
    }
    return 0;
}

/* The kernel takes one packet with each write. */
static bool
forward_packets(Stream *stream, int vhci)
{
    size_t at = 0;
    for (;;) {
        const size_t length = packet_length(stream->bytes + at, stream->n_bytes - at);
        if (length == 0 || length > stream->n_bytes - at) {
            break;
        }
        if (write(vhci, stream->bytes + at, length) != (ssize_t)length) {
            return false;
        }
        at += length;
    }
    memmove(stream->bytes, stream->bytes + at, stream->n_bytes - at);
    stream->n_bytes -= at;
    return true;
}

static bool
from_air(Stream *stream, int air, int vhci)
{
    const ssize_t n =
        read(air, stream->bytes + stream->n_bytes, sizeof stream->bytes - stream->n_bytes);
    if (n <= 0) {
        return false;
    }
    stream->n_bytes += (size_t)n;
    return forward_packets(stream, vhci);
}

static bool
from_kernel(int vhci, int air)
{
    uint8_t packet[PACKET_MAX];
    const ssize_t n = read(vhci, packet, sizeof packet);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    return packet[0] == VENDOR_PACKET || write_all(air, packet, (size_t)n);
}

static int
open_air(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        return fd;
    }
    return -1;
}

static int
open_vhci(void)
{
    const uint8_t create[] = { VENDOR_PACKET, CREATE_PRIMARY };
    const int fd = open("/dev/vhci", O_RDWR | O_CLOEXEC);
    if (fd >= 0 && write(fd, create, sizeof create) == (ssize_t)sizeof create) {
        return fd;
    }
    return -1;
}

int
main(int argc, char **argv)
{
    Stream stream = { .n_bytes = 0 };
    if (argc != 2) {
        (void)fprintf(stderr, "usage: relay SOCKET\n");
        return 2;
    }
    const int air = open_air(argv[1]);
    const int vhci = air >= 0 ? open_vhci() : -1;
    if (vhci < 0) {
        (void)fprintf(stderr, "relay: %s\n", strerror(errno));
        return 1;
    }
    struct pollfd fds[2] = { { .fd = vhci, .events = POLLIN }, { .fd = air, .events = POLLIN } };
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            return 1;
        }
        if ((fds[0].revents != 0 && !from_kernel(vhci, air)) ||
            (fds[1].revents != 0 && !from_air(&stream, air, vhci))) {
            return 1;
        }
    }
}
