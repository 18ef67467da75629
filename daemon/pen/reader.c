/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Reads and hands on. No descriptor is read for longer than a round's share, so that
 * an endless stream starves nobody, and nothing here waits for anything but epoll.
 * Between rounds it naps unless somebody watches or a report runs, as every wake-up
 * costs three times what a record does.
 */
#include "pen/reader.h"

#include "pen/reader_link.h"

#include <glib-unix.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_EVENTS       64
#define ROUND_MESSAGES 64   /* of one descriptor; its socket holds 167 or more (P1) */
#define DRAIN_MESSAGES 2048 /* more than any socket holds */
#define MESSAGE_MAX    520  /* ATT values are at most 512 bytes (F31) */
#define ITEMS_MAX      8192 /* beyond it copies are dropped; numbers show what is missing */

typedef enum {
    COMMAND_ADD_FD = 0,
    COMMAND_FEED,
    COMMAND_DRAIN,
    COMMAND_CLOSE,
} CommandKind;

typedef struct {
    CommandKind kind;
    PdReaderLink *link; /* owned reference */
    PdStream stream;
    int fd;
    uint32_t token;
    GBytes *bytes; /* owned */
} Command;

typedef struct {
    PdReaderItem item;
    uint8_t bytes[]; /* item.n_bytes */
} Item;

struct PdReader {
    /* owned */
    GHashTable *links; /* main's: &id -> PdReaderLink */
    GSource *source;   /* wakes main */
    GThread *thread;
    GQueue commands; /* under lock */
    GQueue items;    /* under lock */
    /* borrowed */
    PdStore *store;
    void *user_data;
    /* plain */
    PdReaderSink sink;
    pthread_mutex_t lock;
    uint64_t last_id;
    uint32_t coalesce_ms;
    int epoll_fd;
    int wake_fd;
    _Atomic uint32_t n_hurry; /* links and watchers that cannot wait */
    bool watched;             /* main's */
    _Atomic bool is_watched;
    _Atomic bool stop;
    _Atomic int64_t busy_since_us; /* 0 while waiting */
    _Atomic uint64_t n_lost;
    _Atomic uint64_t n_dropped; /* copies that main was too slow for */
};

static void
command_free(Command *command)
{
    if (command->fd >= 0) {
        close(command->fd);
    }
    g_clear_pointer(&command->bytes, g_bytes_unref);
    pd_reader_link_unref(command->link);
    g_free(command);
}

static void
push_item(PdReader *self, const PdReaderItem *item)
{
    /* What numbers or the next head item show again; the rest comes once per link or call. */
    const bool is_spare = item->kind == PD_READER_RECORD || item->kind == PD_READER_BAD ||
                          item->kind == PD_READER_GAP;
    Item *copy = g_malloc0(sizeof *copy + item->n_bytes);

    copy->item = *item;
    if (item->n_bytes > 0) {
        memcpy(copy->bytes, item->bytes, item->n_bytes);
    }
    copy->item.bytes = copy->bytes;
    pthread_mutex_lock(&self->lock);
    const bool has_room = !is_spare || self->items.length < ITEMS_MAX;
    if (has_room) {
        g_queue_push_tail(&self->items, copy);
    }
    pthread_mutex_unlock(&self->lock);
    if (!has_room) {
        self->n_dropped++;
        g_free(copy);
    }
}

/* Main sees what it must act on; samples only while somebody watches them. */
static void
report(PdReader *self, const PdReaderLink *link, PdStream stream, const PdIntakeResult *result)
{
    PdReaderItem item = {
        .link = link->id,
        .stream = stream,
        .status = result->status,
        .header = result->header,
        .bytes = result->bytes,
        .n_bytes = result->n_bytes,
    };
    const bool is_wanted = !result->is_samples || (stream == PD_STREAM_LIVE && self->is_watched);

    if (result->kind == PD_INTAKE_BAD) {
        item.kind = PD_READER_BAD;
        push_item(self, &item);
    } else if (result->kind == PD_INTAKE_RECORD && is_wanted) {
        item.kind = PD_READER_RECORD;
        push_item(self, &item);
    }
    if (result->has_gap && stream == PD_STREAM_LIVE) {
        push_item(self, &(PdReaderItem){ .link = link->id, .kind = PD_READER_GAP });
    }
}

static void
take(PdReader *self, PdReaderLink *link, PdStream stream, const uint8_t *bytes, size_t n_bytes)
{
    const uint64_t n_lost_before = link->intake.counts.n_lost;
    PdIntakeResult result;

    pd_intake_push(&link->intake, stream, bytes, n_bytes, &result);
    self->n_lost += link->intake.counts.n_lost - n_lost_before;
    report(self, link, stream, &result);
    if (result.kind >= PD_INTAKE_BAD && pd_reader_link_is_noisy(link)) {
        push_item(self, &(PdReaderItem){ .link = link->id, .kind = PD_READER_NOISE });
    }
}

static void
close_socket(PdReader *self, PdReaderSocket *socket)
{
    if (socket->fd < 0) {
        return;
    }
    (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, socket->fd, NULL);
    close(socket->fd);
    socket->fd = -1;
}

static bool
has_hung_up(int fd)
{
    struct pollfd state = { .fd = fd, .events = POLLIN };

    return poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

/*
 * At most @n_max messages. A message of no bytes reads as 0 like the end does, so 0
 * ends only what has hung up (P3, F31). Returns true when the share was used up.
 */
static bool
read_socket(PdReader *self, PdReaderSocket *socket, uint32_t n_max)
{
    uint8_t message[MESSAGE_MAX];

    for (uint32_t i = 0; i < n_max; i++) {
        const ssize_t n = recv(socket->fd, message, sizeof message, MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN)) {
            return false;
        }
        if (n < 0 || (n == 0 && has_hung_up(socket->fd))) {
            push_item(self,
                      &(PdReaderItem){ .link = socket->link->id,
                                       .kind = PD_READER_HUP,
                                       .stream = socket->stream });
            close_socket(self, socket);
            return false;
        }
        take(self, socket->link, socket->stream, message, (size_t)n);
    }
    return true;
}

static void
drain_link(PdReader *self, PdReaderLink *link)
{
    for (size_t i = 0; i < PD_N_STREAMS; i++) {
        PdReaderSocket *socket = &link->sockets[i];

        if (socket->fd >= 0) {
            (void)read_socket(self, socket, DRAIN_MESSAGES);
        }
    }
}

static void
add_fd(PdReader *self, Command *command)
{
    PdReaderSocket *socket = &command->link->sockets[command->stream];
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = socket };

    close_socket(self, socket);
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, command->fd, &event) < 0) {
        g_warning("cannot watch a notify socket: %s", g_strerror(errno));
        return; /* the command closes it; bluetoothd sees the end */
    }
    socket->fd = command->fd;
    command->fd = -1;
}

static void
run_command(PdReader *self, Command *command)
{
    PdReaderLink *link = command->link;
    gsize n_bytes = 0;

    switch (command->kind) {
    case COMMAND_ADD_FD:
        add_fd(self, command);
        return;
    case COMMAND_FEED: {
        const uint8_t *bytes = g_bytes_get_data(command->bytes, &n_bytes);
        take(self, link, command->stream, bytes, n_bytes);
        return;
    }
    case COMMAND_DRAIN:
        drain_link(self, link);
        push_item(self,
                  &(PdReaderItem){
                      .link = link->id, .kind = PD_READER_DRAINED, .token = command->token });
        return;
    case COMMAND_CLOSE:
        drain_link(self, link);
        for (size_t i = 0; i < PD_N_STREAMS; i++) {
            close_socket(self, &link->sockets[i]);
        }
        return;
    }
}

static void
run_commands(PdReader *self)
{
    uint64_t n_wakes = 0;

    (void)!read(self->wake_fd, &n_wakes, sizeof n_wakes);
    for (;;) {
        pthread_mutex_lock(&self->lock);
        Command *command = g_queue_pop_head(&self->commands);
        pthread_mutex_unlock(&self->lock);
        if (command == NULL) {
            return;
        }
        run_command(self, command);
        command_free(command);
    }
}

static void
wake_main(PdReader *self)
{
    pthread_mutex_lock(&self->lock);
    const bool has_items = self->items.length > 0;
    pthread_mutex_unlock(&self->lock);
    if (has_items) {
        g_source_set_ready_time(self->source, 0);
    }
}

/* One turn over what is ready. A closed socket has no event left: epoll forgot it. */
static bool
run_round(PdReader *self, const struct epoll_event *events, int n_events)
{
    bool has_more = false;
    bool has_commands = false;

    for (int i = 0; i < n_events; i++) {
        PdReaderSocket *socket = events[i].data.ptr;

        if (socket == NULL) {
            has_commands = true;
        } else if (socket->fd >= 0) {
            has_more = read_socket(self, socket, ROUND_MESSAGES) || has_more;
        }
    }
    /* Last: a command may free what an event points at. */
    if (has_commands) {
        run_commands(self);
    }
    wake_main(self);
    return has_more;
}

static gpointer
run(gpointer data)
{
    PdReader *self = data;
    struct epoll_event events[N_EVENTS];
    struct pollfd wake = { .fd = self->wake_fd, .events = POLLIN };

    while (!self->stop) {
        self->busy_since_us = 0;
        const int n_events = epoll_wait(self->epoll_fd, events, N_EVENTS, -1);
        self->busy_since_us = g_get_monotonic_time();
        const bool has_more = n_events > 0 && run_round(self, events, n_events);
        if (!has_more && self->n_hurry == 0 && !self->stop) {
            self->busy_since_us = 0;
            (void)poll(&wake, 1, (int)self->coalesce_ms);
        }
    }
    return NULL;
}

static gboolean
dispatch_items(GSource *source, GSourceFunc callback, gpointer user_data)
{
    g_source_set_ready_time(source, -1);
    return callback(user_data);
}

static gboolean
on_items(gpointer user_data)
{
    PdReader *self = user_data;

    /* At most what is there now: more of it wakes main again. */
    pthread_mutex_lock(&self->lock);
    guint n_items = self->items.length;
    pthread_mutex_unlock(&self->lock);
    for (; n_items > 0; n_items--) {
        pthread_mutex_lock(&self->lock);
        g_autofree Item *item = g_queue_pop_head(&self->items);
        pthread_mutex_unlock(&self->lock);
        if (item != NULL && g_hash_table_contains(self->links, &item->item.link)) {
            self->sink(self->user_data, &item->item);
        }
    }
    return G_SOURCE_CONTINUE;
}

static void
push_command(PdReader *self, uint64_t id, Command command)
{
    PdReaderLink *link = g_hash_table_lookup(self->links, &id);
    const uint64_t one = 1;

    if (link == NULL) {
        if (command.fd >= 0) {
            close(command.fd);
        }
        g_clear_pointer(&command.bytes, g_bytes_unref);
        return;
    }
    Command *copy = g_new(Command, 1);
    *copy = command;
    pd_reader_link_ref(link);
    copy->link = link;
    pthread_mutex_lock(&self->lock);
    g_queue_push_tail(&self->commands, copy);
    pthread_mutex_unlock(&self->lock);
    (void)!write(self->wake_fd, &one, sizeof one);
}

PdReader *
pd_reader_new(PdStore *store, uint32_t coalesce_ms, PdReaderSink sink, void *user_data)
{
    static const GSourceFuncs funcs = { .dispatch = dispatch_items };
    PdReader *self = g_new0(PdReader, 1);
    struct epoll_event event = { .events = EPOLLIN };

    self->store = store;
    self->sink = sink;
    self->user_data = user_data;
    self->coalesce_ms = coalesce_ms;
    self->links = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, NULL);
    pthread_mutex_init(&self->lock, NULL);
    g_queue_init(&self->commands);
    g_queue_init(&self->items);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->epoll_fd < 0 || self->wake_fd < 0 ||
        epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->wake_fd, &event) < 0) {
        g_error("no descriptors for the reader: %s", g_strerror(errno));
    }
    self->source = g_source_new((GSourceFuncs *)(uintptr_t)&funcs, sizeof(GSource));
    g_source_set_callback(self->source, on_items, self, NULL);
    g_source_attach(self->source, g_main_context_get_thread_default());
    self->thread = g_thread_new("pen-reader", run, self);
    return self;
}

static void
wake_thread(PdReader *self)
{
    const uint64_t one = 1;

    (void)!write(self->wake_fd, &one, sizeof one);
}

void
pd_reader_free(PdReader *self)
{
    GHashTableIter iter;
    gpointer link = NULL;

    if (self == NULL) {
        return;
    }
    self->stop = true;
    wake_thread(self);
    g_thread_join(self->thread);
    g_source_destroy(self->source);
    g_source_unref(self->source);
    g_queue_clear_full(&self->commands, (GDestroyNotify)command_free);
    g_queue_clear_full(&self->items, g_free);
    g_hash_table_iter_init(&iter, self->links);
    while (g_hash_table_iter_next(&iter, NULL, &link)) {
        pd_reader_link_unref(link);
    }
    g_hash_table_unref(self->links);
    close(self->epoll_fd);
    close(self->wake_fd);
    pthread_mutex_destroy(&self->lock);
    g_free(self);
}

uint64_t
pd_reader_open_link(PdReader *self, PdProgress *progress)
{
    PdReaderLink *link = pd_reader_link_new(++self->last_id, self->store, progress);

    g_hash_table_insert(self->links, &link->id, link);
    return link->id;
}

void
pd_reader_add_fd(PdReader *self, uint64_t link, PdStream stream, int fd)
{
    push_command(self, link, (Command){ .kind = COMMAND_ADD_FD, .stream = stream, .fd = fd });
}

void
pd_reader_feed(PdReader *self, uint64_t link, PdStream stream, const uint8_t *bytes, size_t n_bytes)
{
    push_command(self,
                 link,
                 (Command){ .kind = COMMAND_FEED,
                            .stream = stream,
                            .fd = -1,
                            .bytes = g_bytes_new(bytes, n_bytes) });
}

void
pd_reader_drain(PdReader *self, uint64_t link, uint32_t token)
{
    push_command(self, link, (Command){ .kind = COMMAND_DRAIN, .fd = -1, .token = token });
}

void
pd_reader_set_hurry(PdReader *self, uint64_t id, bool hurry)
{
    PdReaderLink *link = g_hash_table_lookup(self->links, &id);

    if (link == NULL || link->hurry == hurry) {
        return;
    }
    link->hurry = hurry;
    self->n_hurry += hurry ? 1u : UINT32_MAX;
    if (hurry) {
        wake_thread(self);
    }
}

void
pd_reader_close_link(PdReader *self, uint64_t id)
{
    PdReaderLink *link = g_hash_table_lookup(self->links, &id);

    if (link == NULL) {
        return;
    }
    pd_reader_set_hurry(self, id, false);
    push_command(self, id, (Command){ .kind = COMMAND_CLOSE, .fd = -1 });
    g_hash_table_remove(self->links, &id);
    pd_reader_link_unref(link);
}

void
pd_reader_set_watched(PdReader *self, bool watched)
{
    if (self->watched == watched) {
        return;
    }
    self->watched = watched;
    self->is_watched = watched;
    self->n_hurry += watched ? 1u : UINT32_MAX;
    wake_thread(self);
}

const PdIntakeCounts *
pd_reader_get_counts(PdReader *self, uint64_t id)
{
    const PdReaderLink *link = g_hash_table_lookup(self->links, &id);

    return link != NULL ? &link->intake.counts : NULL;
}

uint64_t
pd_reader_get_n_lost(PdReader *self)
{
    return self->n_lost;
}

int64_t
pd_reader_get_age_us(PdReader *self)
{
    const int64_t since_us = self->busy_since_us;

    return since_us == 0 ? 0 : g_get_monotonic_time() - since_us;
}
