/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * Preloaded into penteld by the fault campaign: logs everything that is done below one
 * directory, so that a power cut can be played, and lets operations fail, lie or be the
 * last thing the process did. Also a wall clock that jumps, and a stop at the moment when
 * a pen is told what it may forget.
 *
 * A sync only writes a line into the log: what is durable is decided by who reads it.
 */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 256u
#define FDS_MAX   1024

/* A preloaded library has no other place to keep this. */
static struct {
    pthread_mutex_t lock;
    volatile int64_t *words; /* SHIM_N_WORDS; NULL: not asked for */
    int log_fd;
    char root[PATH_MAX];
    size_t n_root;
    uint64_t luck;
    struct {
        uint64_t inode;
        uint32_t n_failed;
    } files[FILES_MAX]; /* whose writing back has failed */
    struct {
        uint64_t inode;
        uint32_t n_failed; /* as this descriptor was told */
    } told[FDS_MAX];
} shim = { .lock = PTHREAD_MUTEX_INITIALIZER, .log_fd = -1 };

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void
start(void)
{
    const char *control = getenv("PENTEL_SHIM_CONTROL");
    const char *log = getenv("PENTEL_SHIM_LOG");
    const char *root = getenv("PENTEL_SHIM_ROOT");

    if (control == NULL || log == NULL || root == NULL || strlen(root) >= sizeof shim.root) {
        return;
    }
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDWR | O_CLOEXEC);
    shim.log_fd =
        (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || shim.log_fd < 0) {
        abort();
    }
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        abort();
    }
    (void)syscall(SYS_close, fd);
    strcpy(shim.root, root);
    shim.n_root = strlen(root);
    shim.words = map;
    shim.words[SHIM_N_STARTED]++;
    shim.luck = (uint64_t)shim.words[SHIM_SEED] + (uint64_t)shim.words[SHIM_OPS];
}

static bool
is_below_root(const char *path)
{
    return shim.words != NULL && strncmp(path, shim.root, shim.n_root) == 0 &&
           (path[shim.n_root] == '/' || path[shim.n_root] == '\0');
}

/* Shared memory of the WAL is no file in this sense: nobody syncs it, nobody needs it. */
static bool
is_watched_path(const char *path)
{
    const size_t n = strlen(path);

    return is_below_root(path) && !(n > 4 && strcmp(path + n - 4, "-shm") == 0);
}

static bool
get_path(int fd, char path_out[PATH_MAX])
{
    char link[32];

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path_out, PATH_MAX - 1);
    path_out[n > 0 ? n : 0] = '\0';
    return path_out[0] == '/';
}

static bool
is_watched_fd(int fd)
{
    char path[PATH_MAX];

    return shim.words != NULL && fd >= 3 && get_path(fd, path) && is_watched_path(path);
}

static uint64_t
inode_of_fd(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static uint64_t
inode_of_path(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* One write(2), so that an entry is there as a whole or not at all. */
static void
note(uint32_t kind, uint64_t inode, uint64_t a, uint64_t b, const void *data, size_t n_data)
{
    ShimEntry entry = {
        .kind = kind,
        .n_data = (uint32_t)n_data,
        .inode = inode,
        .a = a,
        .b = b,
    };
    const struct iovec parts[2] = {
        { &entry, sizeof entry },
        { (void *)(uintptr_t)data, n_data },
    };

    if (syscall(SYS_writev, shim.log_fd, parts, n_data > 0 ? 2 : 1) < 0) {
        abort();
    }
}

/* How often writing back a file has failed; NULL when there is no room for more files. */
static uint32_t *
count_failed(uint64_t inode)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (shim.files[i].inode == inode || shim.files[i].inode == 0) {
            shim.files[i].inode = inode;
            return &shim.files[i].n_failed;
        }
    }
    return NULL;
}

static void
tell(int fd, uint64_t inode)
{
    const uint32_t *n_failed = count_failed(inode);

    if (fd >= 0 && fd < FDS_MAX && n_failed != NULL) {
        shim.told[fd].inode = inode;
        shim.told[fd].n_failed = *n_failed;
    }
}

/* Linux tells every open descriptor of it once (errseq). */
static bool
must_tell(int fd, uint64_t inode)
{
    const uint32_t *n_failed = count_failed(inode);

    return fd < FDS_MAX && n_failed != NULL && shim.told[fd].inode == inode &&
           shim.told[fd].n_failed != *n_failed;
}

/* Pages that could not be written back are given up; what was interrupted stays to be done. */
static void
fail_sync(int fd, int error)
{
    const uint64_t inode = inode_of_fd(fd);
    uint32_t *n_failed = count_failed(inode);

    if (error == EINTR || n_failed == NULL) {
        return;
    }
    note(SHIM_FAILED, inode, 0, 0, NULL, 0);
    (*n_failed)++;
    tell(fd, inode);
}

static void
stop(void)
{
    shim.words[SHIM_N_STOPPED]++;
    (void)raise((int)shim.words[SHIM_STOP_WITH]);
}

static uint64_t
draw(void)
{
    shim.luck += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = shim.luck;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static bool
is_index(int fd)
{
    char path[PATH_MAX];
    const char *name = get_path(fd, path) ? strrchr(path, '/') : NULL;

    return name != NULL && strcmp(name, "/index.db") == 0;
}

/* Begin an operation, with the lock held. @sync_fd: what it is to sync, else -1. Returns 0, or
 * the errno or SHIM_SHORT of its end. */
static int
begin(int sync_fd)
{
    (void)pthread_mutex_lock(&shim.lock);
    const int64_t op = ++shim.words[SHIM_OPS];
    if (op == shim.words[SHIM_STOP_AT] && shim.words[SHIM_STOP_AFTER] == 0) {
        stop();
    }
    if (op < shim.words[SHIM_ERROR_FROM] || op >= shim.words[SHIM_ERROR_TO] ||
        (int64_t)(draw() % 1000u) >= shim.words[SHIM_ERROR_PERMILLE]) {
        return 0;
    }
    if (shim.words[SHIM_ERROR_INDEX] != 0 && (sync_fd < 0 || !is_index(sync_fd))) {
        return 0;
    }
    return (int)shim.words[SHIM_ERROR_KIND];
}

static int
enter(void)
{
    return begin(-1);
}

static void
leave(void)
{
    const int kept = errno;

    if (shim.words[SHIM_OPS] == shim.words[SHIM_STOP_AT] && shim.words[SHIM_STOP_AFTER] != 0) {
        stop();
    }
    (void)pthread_mutex_unlock(&shim.lock);
    errno = kept;
}

static int
fail(int error)
{
    shim.words[SHIM_N_ERRORS]++;
    errno = error;
    return -1;
}

/* @offset: -1 at the file's own place. */
static ssize_t
put(int fd, const void *data, size_t n_data, off_t offset)
{
    const int error = enter();
    size_t n = n_data;
    ssize_t done = -1;

    if (error == SHIM_SHORT && n_data > 1) {
        shim.words[SHIM_N_ERRORS]++;
        n = n_data / 2;
    }
    if (error != 0 && error != SHIM_SHORT) {
        done = fail(error);
    } else {
        const off_t at = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR);
        done = offset >= 0 ? syscall(SYS_pwrite64, fd, data, n, offset)
                           : syscall(SYS_write, fd, data, n);
        if (done > 0) {
            note(SHIM_WRITE, inode_of_fd(fd), (uint64_t)at, 0, data, (size_t)done);
        }
    }
    leave();
    return done;
}

ssize_t
write(int fd, const void *data, size_t n_data)
{
    return is_watched_fd(fd) ? put(fd, data, n_data, -1) : syscall(SYS_write, fd, data, n_data);
}

ssize_t
pwrite(int fd, const void *data, size_t n_data, off_t offset)
{
    return is_watched_fd(fd) ? put(fd, data, n_data, offset)
                             : syscall(SYS_pwrite64, fd, data, n_data, offset);
}

ssize_t
pwrite64(int fd, const void *data, size_t n_data, off64_t offset)
{
    return pwrite(fd, data, n_data, offset);
}

int
ftruncate(int fd, off_t length)
{
    if (!is_watched_fd(fd)) {
        return (int)syscall(SYS_ftruncate, fd, length);
    }
    const int error = enter();
    int done = -1;
    if (error != 0 && error != SHIM_SHORT) {
        done = fail(error);
    } else {
        done = (int)syscall(SYS_ftruncate, fd, length);
        if (done == 0) {
            note(SHIM_TRUNCATE, inode_of_fd(fd), (uint64_t)length, 0, NULL, 0);
        }
    }
    leave();
    return done;
}

int
ftruncate64(int fd, off64_t length)
{
    return ftruncate(fd, length);
}

/* Room that is only reserved reads as zeroes. */
int
posix_fallocate(int fd, off_t offset, off_t n_bytes)
{
    struct stat st;

    if (!is_watched_fd(fd)) {
        return REAL(posix_fallocate)(fd, offset, n_bytes);
    }
    if (fstat(fd, &st) != 0) {
        return errno;
    }
    return st.st_size >= offset + n_bytes || ftruncate(fd, offset + n_bytes) == 0 ? 0 : errno;
}

int
fallocate(int fd, int mode, off_t offset, off_t n_bytes)
{
    if (!is_watched_fd(fd)) {
        return (int)syscall(SYS_fallocate, fd, mode, offset, n_bytes);
    }
    const int error = mode == 0 ? posix_fallocate(fd, offset, n_bytes) : EOPNOTSUPP;
    errno = error;
    return error == 0 ? 0 : -1;
}

int
fallocate64(int fd, int mode, off64_t offset, off64_t n_bytes)
{
    return fallocate(fd, mode, offset, n_bytes);
}

int
posix_fallocate64(int fd, off64_t offset, off64_t n_bytes)
{
    return posix_fallocate(fd, offset, n_bytes);
}

static int
sync_fd(int fd)
{
    if (!is_watched_fd(fd)) {
        return 0;
    }
    const int error = begin(fd);
    int done = 0;
    if (error != 0 && error != SHIM_SHORT) {
        fail_sync(fd, error);
        done = fail(error);
    } else {
        (void)usleep((useconds_t)shim.words[SHIM_SYNC_US]);
        const bool lies = shim.words[SHIM_LIES] != 0;
        shim.words[lies ? SHIM_N_LIES : SHIM_N_SYNCS]++;
        note(lies ? SHIM_LIE : SHIM_SYNC, inode_of_fd(fd), 0, 0, NULL, 0);
        if (must_tell(fd, inode_of_fd(fd))) {
            tell(fd, inode_of_fd(fd));
            done = fail(EIO);
        }
    }
    leave();
    return done;
}

int
fsync(int fd)
{
    return sync_fd(fd);
}

int
fdatasync(int fd)
{
    return sync_fd(fd);
}

/* Directory of a path and the name in it. */
static uint64_t
split(const char *path, const char **name_out)
{
    char copy[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t n = slash == NULL ? 0 : (size_t)(slash - path);

    if (slash == NULL || n >= sizeof copy) {
        *name_out = path;
        return 0;
    }
    memcpy(copy, path, n);
    copy[n] = '\0';
    *name_out = slash + 1;
    return inode_of_path(copy);
}

static void
note_created(const char *path, uint64_t inode, bool is_directory)
{
    const char *name = NULL;
    const uint64_t directory = split(path, &name);

    note(SHIM_CREATE, directory, inode, is_directory ? 1 : 0, name, strlen(name));
}

static int
open_watched(const char *path, int flags, mode_t mode)
{
    const int error = (flags & O_CREAT) != 0 ? enter() : 0;
    if ((flags & O_CREAT) == 0) {
        (void)pthread_mutex_lock(&shim.lock);
    }
    const bool is_new = (flags & O_CREAT) != 0 && inode_of_path(path) == 0;
    int fd = -1;
    if (is_new && error != 0 && error != SHIM_SHORT) {
        fd = fail(error);
    } else {
        fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
        if (fd >= 0) {
            tell(fd, inode_of_fd(fd));
        }
        if (fd >= 0 && is_new) {
            note_created(path, inode_of_fd(fd), false);
        } else if (fd >= 0 && (flags & O_TRUNC) != 0) {
            note(SHIM_TRUNCATE, inode_of_fd(fd), 0, 0, NULL, 0);
        }
    }
    if ((flags & O_CREAT) != 0) {
        leave();
    } else {
        (void)pthread_mutex_unlock(&shim.lock);
    }
    return fd;
}

static int
open_any(const char *path, int flags, mode_t mode)
{
    return is_watched_path(path) ? open_watched(path, flags, mode)
                                 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t
mode_of(int flags, va_list args)
{
    return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

#define DEFINE_OPEN(name)                                                                          \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        const mode_t mode = mode_of(flags, args);                                                  \
        va_end(args);                                                                              \
        return open_any(path, flags, mode);                                                        \
    }

DEFINE_OPEN(open)
DEFINE_OPEN(open64)

int
rename(const char *from, const char *to)
{
    if (!is_watched_path(from)) {
        return REAL(rename)(from, to);
    }
    const int error = enter();
    int done = -1;
    if (error != 0 && error != SHIM_SHORT) {
        done = fail(error);
    } else {
        const char *name = NULL;
        const char *new_name = NULL;
        const uint64_t directory = split(from, &name);
        const uint64_t new_directory = split(to, &new_name);
        char both[2 * NAME_MAX + 2];
        const int n = snprintf(both, sizeof both, "%s%c%s", name, 0, new_name);
        done = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
        if (done == 0 && n > 0) {
            note(SHIM_RENAME, directory, new_directory, 0, both, (size_t)n + 1);
        }
    }
    leave();
    return done;
}

static int
remove_name(const char *path, int flags)
{
    if (!is_watched_path(path)) {
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
    }
    const int error = enter();
    int done = -1;
    if (error != 0 && error != SHIM_SHORT && error != ENOSPC) {
        done = fail(error);
    } else {
        const char *name = NULL;
        const uint64_t directory = split(path, &name);
        done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
        if (done == 0) {
            note(SHIM_UNLINK, directory, 0, 0, name, strlen(name));
        }
    }
    leave();
    return done;
}

int
unlink(const char *path)
{
    return remove_name(path, 0);
}

int
rmdir(const char *path)
{
    return remove_name(path, AT_REMOVEDIR);
}

int
mkdir(const char *path, mode_t mode)
{
    if (!is_watched_path(path)) {
        return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    }
    const int error = enter();
    int done = -1;
    if (error != 0 && error != SHIM_SHORT) {
        done = fail(error);
    } else {
        done = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
        if (done == 0) {
            note_created(path, inode_of_path(path), true);
        }
    }
    leave();
    return done;
}

int
clock_gettime(clockid_t id, struct timespec *out)
{
    const int done = (int)syscall(SYS_clock_gettime, id, out);

    if (done == 0 && id == CLOCK_REALTIME && shim.words != NULL) {
        const int64_t us =
            (int64_t)out->tv_sec * 1000000 + out->tv_nsec / 1000 + shim.words[SHIM_WALL_US];
        out->tv_sec = us / 1000000;
        out->tv_nsec = us % 1000000 * 1000;
    }
    return done;
}

int
gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
    return 0;
}

time_t
time(time_t *out)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

/* RACP "mark <= n" as an array of bytes on the bus: length 7, then the request's head. */
static bool
has_mark(const struct msghdr *message)
{
    static const uint8_t mark[] = { 7, 0, 0, 0, 2, 2, 1 };

    for (size_t i = 0; i < message->msg_iovlen; i++) {
        const struct iovec *part = &message->msg_iov[i];
        if (memmem(part->iov_base, part->iov_len, mark, sizeof mark) != NULL) {
            return true;
        }
    }
    return false;
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    const bool is_mark = shim.words != NULL && has_mark(message);
    const bool is_last = is_mark && ++shim.words[SHIM_MARKS] == shim.words[SHIM_MARK_STOP_AT];

    if (is_last && shim.words[SHIM_MARK_STOP_AFTER] == 0) {
        stop();
    }
    const ssize_t done = syscall(SYS_sendmsg, fd, message, flags);
    if (is_last && shim.words[SHIM_MARK_STOP_AFTER] != 0) {
        stop();
    }
    return done;
}

ssize_t
send(int fd, const void *data, size_t n_data, int flags)
{
    struct iovec part = { (void *)(uintptr_t)data, n_data };
    const struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

    return sendmsg(fd, &message, flags);
}
