/* Writes down, for whoever is started with this in LD_PRELOAD, all that changes files below
   CRASH_ROOT, with the bytes, in the order in which it happened, into the file CRASH_LOG; Python and
   SQLite both come by here.  `crash_mark(text)` adds a line of the program's own.  CRASH_SWALLOW
   leaves syncs out: of files whose name ends so, of directories where it is "/"; they succeed, do
   nothing, and are not written down.

   An entry: u32 kind, u32 length of the text, u64 inode, i64 at, u64 size, the text, and of a write
   `size` bytes.  Changes of the memory that SQLite shares (-shm) are not seen, and no crash keeps
   them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATED = 1, WRITTEN, CUT, SYNCED, SYNCED_NAMES, RENAMED, UNLINKED, MARK };

struct entry { uint32_t kind, text_length; uint64_t inode; int64_t at; uint64_t size; };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *swallow;
static size_t root_length;
static int log_fd = -1;

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define TURN pthread_mutex_lock(&turn)
#define OVER pthread_mutex_unlock(&turn)

__attribute__((constructor)) static void begin(void) {
    REAL(open);
    root = getenv("CRASH_ROOT"); swallow = getenv("CRASH_SWALLOW");
    if (!root || !getenv("CRASH_LOG")) { root = NULL; return; }
    root_length = strlen(root);
    log_fd = real(getenv("CRASH_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void out(const void *from, size_t size) {
    REAL(write);
    while (size) {
        ssize_t done = real(log_fd, from, size);
        if (done <= 0) abort();  /* a log with a hole would prove anything */
        from = (const char *)from + done; size -= done;
    }
}

static void tell(uint32_t kind, uint64_t inode, int64_t at, uint64_t size, const char *text) {
    struct entry entry = {kind, (uint32_t)strlen(text), inode, at, size};
    out(&entry, sizeof entry);
    out(text, entry.text_length);
}

/* The path of a descriptor below the root, "" for others. */
static const char *path_of(int fd, char *to) {
    char name[64];
    to[0] = 0;
    if (!root) return to;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, to, PATH_MAX - 1);
    to[length < 0 ? 0 : length] = 0;
    if (strncmp(to, root, root_length) || (to[root_length] && to[root_length] != '/')) to[0] = 0;
    return to;
}

static uint64_t inode_of(int fd) {
    struct stat status;
    return fstat(fd, &status) ? 0 : status.st_ino;
}

static int watched(const char *path) {
    return root && !strncmp(path, root, root_length) && path[root_length] == '/';
}

static void wrote(int fd, int64_t at, const struct iovec *parts, ssize_t size) {
    char path[PATH_MAX];
    if (size <= 0 || !*path_of(fd, path)) return;
    tell(WRITTEN, inode_of(fd), at, size, "");
    for (; size > 0; parts++) {
        size_t some = (size_t)size < parts->iov_len ? (size_t)size : parts->iov_len;
        out(parts->iov_base, some);
        size -= some;
    }
}

static void cut(int fd, int64_t end) {
    char path[PATH_MAX];
    if (*path_of(fd, path)) tell(CUT, inode_of(fd), end, 0, "");
}

/* Whether the sync is left out. */
static int swallowed(int fd) {
    char path[PATH_MAX];
    struct stat status;
    if (!swallow || !*path_of(fd, path) || fstat(fd, &status)) return 0;
    if (S_ISDIR(status.st_mode)) return !strcmp(swallow, "/");
    size_t length = strlen(path), tail = strlen(swallow);
    return length >= tail && !strcmp(path + length - tail, swallow);
}

static void synced(int fd) {
    char path[PATH_MAX];
    struct stat status;
    if (!*path_of(fd, path) || fstat(fd, &status)) return;
    tell(S_ISDIR(status.st_mode) ? SYNCED_NAMES : SYNCED, status.st_ino, 0, 0, path);
}

#define OPENING(name, parameters, path, call) \
    int name parameters { \
        REAL(name); va_list list; va_start(list, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; va_end(list); \
        if (!(flags & O_CREAT) || !watched(path)) return real call; \
        TURN; \
        int is_new = access(path, F_OK) != 0, fd = real call, error = errno; \
        if (fd >= 0 && is_new) tell(CREATED, inode_of(fd), 0, 0, path); \
        if (fd >= 0 && !is_new && (flags & O_TRUNC)) cut(fd, 0); \
        OVER; errno = error; return fd; }

OPENING(open, (const char *path, int flags, ...), path, (path, flags, mode))
OPENING(open64, (const char *path, int flags, ...), path, (path, flags, mode))
OPENING(openat, (int at, const char *path, int flags, ...), path, (at, path, flags, mode))
OPENING(openat64, (int at, const char *path, int flags, ...), path, (at, path, flags, mode))

#define AFTER(type, call, condition, then) \
    TURN; type done = call; int error = errno; if (condition) { then; } OVER; errno = error; return done

#define SYNCING(name) \
    int name(int fd) { REAL(name); \
        TURN; int done = swallowed(fd) ? 0 : real(fd), error = errno; \
        if (!done && !swallowed(fd)) { synced(fd); } \
        OVER; errno = error; return done; }
SYNCING(fsync)
SYNCING(fdatasync)

int sync_file_range(int fd, off64_t at, off64_t size, unsigned flags) {
    REAL(sync_file_range);  /* makes nothing durable, so there is nothing to write down */
    return real(fd, at, size, flags);
}

#define CUTTING(name, off) \
    int name(int fd, off end) { REAL(name); AFTER(int, real(fd, end), !done, cut(fd, end)); }
CUTTING(ftruncate, off_t)
CUTTING(ftruncate64, off64_t)

static int allocated(int fd, int64_t end) {
    struct stat status;
    if (!fstat(fd, &status) && status.st_size == end) cut(fd, end);  /* it grew, or stood there */
    return 0;
}
#define ALLOCATING(name, off) \
    int name(int fd, off at, off size) { REAL(name); \
        AFTER(int, real(fd, at, size), !done, allocated(fd, at + size)); }
ALLOCATING(posix_fallocate, off_t)
ALLOCATING(posix_fallocate64, off64_t)
#define PUNCHING(name, off) \
    int name(int fd, int mode, off at, off size) { REAL(name); \
        AFTER(int, real(fd, mode, at, size), !done, \
              if (mode) abort(); allocated(fd, at + size)); }
PUNCHING(fallocate, off_t)
PUNCHING(fallocate64, off64_t)

#define ONE struct iovec part = {(void *)from, size}
#define PLACED(name, off) \
    ssize_t name(int fd, const void *from, size_t size, off at) { REAL(name); ONE; \
        AFTER(ssize_t, real(fd, from, size, at), done > 0, wrote(fd, at, &part, done)); }
PLACED(pwrite, off_t)
PLACED(pwrite64, off64_t)
#define GATHERED(name, off) \
    ssize_t name(int fd, const struct iovec *parts, int count, off at) { REAL(name); \
        AFTER(ssize_t, real(fd, parts, count, at), done > 0, wrote(fd, at, parts, done)); }
GATHERED(pwritev, off_t)
GATHERED(pwritev64, off64_t)
#define FLAGGED(name, off) \
    ssize_t name(int fd, const struct iovec *parts, int count, off at, int flags) { REAL(name); \
        AFTER(ssize_t, real(fd, parts, count, at, flags), done > 0, wrote(fd, at, parts, done)); }
FLAGGED(pwritev2, off_t)
FLAGGED(pwritev64v2, off64_t)

ssize_t write(int fd, const void *from, size_t size) {
    REAL(write); ONE; char path[PATH_MAX];
    if (!root || !*path_of(fd, path)) return real(fd, from, size);
    off_t end = fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR;
    AFTER(ssize_t, real(fd, from, size), done > 0,
          wrote(fd, lseek(fd, 0, end) - done, &part, done));
}

#define NAMING(call, kind, text) AFTER(int, call, !done && watched(path), tell(kind, 0, 0, 0, text))
int unlink(const char *path) { REAL(unlink); NAMING(real(path), UNLINKED, path); }
int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    if (*path != '/' && root) abort();  /* a name that cannot be told from one elsewhere */
    NAMING(real(at, path, flags), UNLINKED, path);
}
int rename(const char *from, const char *path) {
    REAL(rename); char both[2 * PATH_MAX];
    snprintf(both, sizeof both, "%s\n%s", from, path);
    NAMING(real(from, path), RENAMED, both);
}

void crash_mark(const char *text) { if (log_fd >= 0) { TURN; tell(MARK, 0, 0, 0, text); OVER; } }
