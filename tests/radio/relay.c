/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * A Bluetooth dongle that can be pulled: carries HCI packets between /dev/vhci and a socket
 * of btvirt -s. While it runs the controller is plugged in; when it ends it is not, and
 * stopped by a signal it is a radio that neither hears nor answers.
 *
 * A controller of btvirt is heard once when it begins to advertise and once by each scan that
 * begins, where a real one is heard many times a second. So advertising that the kernel has
 * switched on is switched off and on again here at short intervals, which the kernel does not
 * see.
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

#define COMMAND_PACKET    0x01u
#define EVENT_PACKET      0x04u
#define COMMAND_COMPLETE  0x0Eu
#define LE_META           0x3Eu
#define LE_CONNECTED      0x01u
#define LE_CONNECTED_MORE 0x0Au
#define RESET             0x0C03u
#define ADVERTISE_ENABLE  0x200Au
#define ADVERT_MS         500

/* What has come from the stream and is no whole packet yet. */
typedef struct {
    uint8_t bytes[2 * PACKET_MAX];
    size_t n_bytes;
} Stream;

typedef struct {
    bool is_wanted;      /* what the kernel asked for last */
    bool is_on;          /* and what came of it */
    unsigned int n_ours; /* commands of ours that the controller has not answered yet */
} Advertising;

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

static bool
switch_advertising(Advertising *advertising, int air, bool is_on)
{
    const uint8_t packet[] = {
        COMMAND_PACKET, ADVERTISE_ENABLE & 0xFFu, ADVERTISE_ENABLE >> 8, 1, is_on ? 1 : 0
    };
    advertising->n_ours++;
    return write_all(air, packet, sizeof packet);
}

/* Off and on, in one go as others see it. */
static bool
be_heard(Advertising *advertising, int air)
{
    if (!advertising->is_on || !advertising->is_wanted || advertising->n_ours > 0) {
        return true;
    }
    return switch_advertising(advertising, air, false) &&
           switch_advertising(advertising, air, true);
}

static void
look_at_command(Advertising *advertising, const uint8_t *packet, size_t n_bytes)
{
    if (n_bytes < 4 || packet[0] != COMMAND_PACKET) {
        return;
    }
    const unsigned int opcode = packet[1] | (unsigned int)packet[2] << 8;
    if (opcode == ADVERTISE_ENABLE && n_bytes >= 5) {
        advertising->is_wanted = packet[4] != 0;
    } else if (opcode == RESET) {
        advertising->is_wanted = false;
        advertising->is_on = false;
    }
}

/* Whether an event is the kernel's to see. Answers come in the order of the commands. */
static bool
look_at_event(Advertising *advertising, int air, const uint8_t *packet, size_t n_bytes)
{
    if (n_bytes < 7 || packet[0] != EVENT_PACKET) {
        return true;
    }
    if (packet[1] == COMMAND_COMPLETE &&
        (packet[4] | (unsigned int)packet[5] << 8) == ADVERTISE_ENABLE) {
        if (advertising->n_ours > 0) {
            advertising->n_ours--;
            return false;
        }
        advertising->is_on = packet[6] == 0 ? advertising->is_wanted : advertising->is_on;
    }
    /* A link ends advertising, also the one that was switched on again while it came. */
    if (n_bytes >= 8 && packet[1] == LE_META &&
        (packet[3] == LE_CONNECTED || packet[3] == LE_CONNECTED_MORE) && packet[4] == 0 &&
        packet[7] == 1 && advertising->is_on) {
        advertising->is_on = false;
        (void)switch_advertising(advertising, air, false);
    }
    return true;
}

/* The kernel takes one packet with each write. */
static bool
forward_packets(Stream *stream, Advertising *advertising, int air, int vhci)
{
    size_t at = 0;
    for (;;) {
        const size_t length = packet_length(stream->bytes + at, stream->n_bytes - at);
        if (length == 0 || length > stream->n_bytes - at) {
            break;
        }
        /* Refused when the kernel has given up on the controller: pull it, and plug it again. */
        if (look_at_event(advertising, air, stream->bytes + at, length) &&
            write(vhci, stream->bytes + at, length) != (ssize_t)length) {
            return false;
        }
        at += length;
    }
    memmove(stream->bytes, stream->bytes + at, stream->n_bytes - at);
    stream->n_bytes -= at;
    return true;
}

static bool
from_air(Stream *stream, Advertising *advertising, int air, int vhci)
{
    const ssize_t n =
        read(air, stream->bytes + stream->n_bytes, sizeof stream->bytes - stream->n_bytes);
    if (n <= 0) {
        return false;
    }
    stream->n_bytes += (size_t)n;
    return forward_packets(stream, advertising, air, vhci);
}

static bool
from_kernel(Advertising *advertising, int vhci, int air)
{
    uint8_t packet[PACKET_MAX];
    const ssize_t n = read(vhci, packet, sizeof packet);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    look_at_command(advertising, packet, (size_t)n);
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
    Advertising advertising = { .is_on = false };
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
        const int n_ready = poll(fds, 2, advertising.is_on ? ADVERT_MS : -1);
        if (n_ready < 0 && errno != EINTR) {
            return 1;
        }
        if ((fds[0].revents != 0 && !from_kernel(&advertising, vhci, air)) ||
            (fds[1].revents != 0 && !from_air(&stream, &advertising, air, vhci)) ||
            (n_ready == 0 && !be_heard(&advertising, air))) {
            (void)fprintf(stderr, "relay: ended: %s\n", strerror(errno));
            return 1;
        }
    }
}
