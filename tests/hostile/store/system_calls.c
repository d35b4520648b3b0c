/* System calls that fail on demand, for whoever is started with this in LD_PRELOAD: the n-th call
   after `fault_arm(n, error, lasts)` of those that can have this error does nothing but fail, and if
   it lasts all calls that follow, until `fault_disarm()`.  Python and SQLite both come by here. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int fault_at, fault_error, fault_lasts, fault_seen, armed;
static const char *fault_name;

void fault_arm(int at, int error, int lasts) {
    fault_at = at; fault_error = error; fault_lasts = lasts; fault_seen = 0; armed = 1;
}
int fault_disarm(void) { armed = 0; return fault_seen; }
const char *fault_where(void) { return fault_name; }

enum { READS, WRITES, OPENS, OPENS_TO_WRITE }; /* OPENS_TO_WRITE is both */

static int can_have(int kind) {
    if (fault_error == EIO) return 1;
    return kind & (fault_error == EMFILE ? OPENS : WRITES);
}

static int fails(const char *name, int kind) {
    if (!armed) return 0;
    int seen = can_have(kind) ? __sync_add_and_fetch(&fault_seen, 1) : 0;
    if (seen != fault_at && !(fault_lasts && fault_seen >= fault_at)) return 0;
    if (seen == fault_at) fault_name = name;
    errno = fault_error;
    return 1;
}

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define FAILING(kind, type, name, parameters, arguments, failed) \
    type name parameters { REAL(name); if (fails(#name, kind)) return failed; return real arguments; }
#define OPENING(name, parameters, call) \
    int name parameters { \
        REAL(name); va_list list; va_start(list, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; va_end(list); \
        int kind = flags & (O_WRONLY | O_RDWR | O_CREAT) ? OPENS_TO_WRITE : OPENS; \
        return fails(#name, kind) ? -1 : real call; }

OPENING(open, (const char *path, int flags, ...), (path, flags, mode))
OPENING(open64, (const char *path, int flags, ...), (path, flags, mode))
OPENING(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPENING(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode))
FAILING(WRITES, int, fsync, (int fd), (fd), -1)
FAILING(WRITES, int, fdatasync, (int fd), (fd), -1)
FAILING(WRITES, int, ftruncate, (int fd, off_t end), (fd, end), -1)
FAILING(WRITES, int, ftruncate64, (int fd, off64_t end), (fd, end), -1)
FAILING(READS, ssize_t, read, (int fd, void *to, size_t n), (fd, to, n), -1)
FAILING(WRITES, ssize_t, write, (int fd, const void *from, size_t n), (fd, from, n), -1)
FAILING(READS, ssize_t, pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at), -1)
FAILING(READS, ssize_t, pread64, (int fd, void *to, size_t n, off64_t at), (fd, to, n, at), -1)
FAILING(WRITES, ssize_t, pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at), -1)
FAILING(WRITES, ssize_t, pwrite64, (int fd, const void *from, size_t n, off64_t at), (fd, from, n, at), -1)
FAILING(WRITES, ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at), -1)
FAILING(WRITES, ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off64_t at), (fd, v, n, at), -1)
FAILING(WRITES, ssize_t, pwritev2, (int fd, const struct iovec *v, int n, off_t at, int f), (fd, v, n, at, f), -1)
FAILING(WRITES, ssize_t, pwritev64v2, (int fd, const struct iovec *v, int n, off64_t at, int f), (fd, v, n, at, f), -1)
FAILING(WRITES, int, posix_fallocate, (int fd, off_t at, off_t n), (fd, at, n), errno)
FAILING(WRITES, int, posix_fallocate64, (int fd, off64_t at, off64_t n), (fd, at, n), errno)
FAILING(WRITES, int, unlink, (const char *path), (path), -1)
FAILING(WRITES, int, unlinkat, (int at, const char *path, int flags), (at, path, flags), -1)
FAILING(WRITES, int, mkdir, (const char *path, mode_t mode), (path, mode), -1)
FAILING(WRITES, int, rename, (const char *from, const char *to), (from, to), -1)
FAILING(WRITES, int, link, (const char *from, const char *to), (from, to), -1)
FAILING(READS, int, access, (const char *path, int mode), (path, mode), -1)
FAILING(READS, int, stat, (const char *path, struct stat *to), (path, to), -1)
FAILING(READS, int, stat64, (const char *path, struct stat64 *to), (path, to), -1)
FAILING(READS, int, lstat, (const char *path, struct stat *to), (path, to), -1)
FAILING(READS, int, lstat64, (const char *path, struct stat64 *to), (path, to), -1)
FAILING(READS, int, fstat, (int fd, struct stat *to), (fd, to), -1)
FAILING(READS, int, fstat64, (int fd, struct stat64 *to), (fd, to), -1)
FAILING(READS, int, fstatat, (int at, const char *p, struct stat *to, int f), (at, p, to, f), -1)
FAILING(READS, int, fstatat64, (int at, const char *p, struct stat64 *to, int f), (at, p, to, f), -1)
FAILING(READS, int, statvfs, (const char *path, struct statvfs *to), (path, to), -1)
FAILING(READS, int, statvfs64, (const char *path, struct statvfs64 *to), (path, to), -1)
FAILING(OPENS, DIR *, opendir, (const char *path), (path), NULL)
FAILING(READS, struct dirent *, readdir, (DIR *of), (of), NULL)
FAILING(READS, struct dirent64 *, readdir64, (DIR *of), (of), NULL)

int close(int fd) { /* as Linux does: the descriptor is gone whatever is said */
    REAL(close);
    if (!fails("close", WRITES)) return real(fd);
    real(fd);
    errno = fault_error;
    return -1;
}

void *mmap(void *at, size_t n, int access, int flags, int fd, off_t offset) {
    REAL(mmap);
    return fd >= 0 && fails("mmap", READS) ? MAP_FAILED : real(at, n, access, flags, fd, offset);
}

void *mmap64(void *at, size_t n, int access, int flags, int fd, off64_t offset) {
    REAL(mmap64);
    return fd >= 0 && fails("mmap64", READS) ? MAP_FAILED : real(at, n, access, flags, fd, offset);
}
