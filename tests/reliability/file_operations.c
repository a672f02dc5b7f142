/* Counts what a process does to files, and stops it before, soon after, or fails it at, the operation asked for.
   Preloaded (LD_PRELOAD), so that it sees every library, whatever language it was written in. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT = 0, SIGNAL = 1, FULL = 2 };
static volatile long n_done = -1, n_allowed = -1; /* -1: not armed */
static volatile int what = COUNT, which_signal = SIGKILL;
static long wait_for; /* microseconds */

static void stop(int signal_number) { kill(getpid(), which_signal); }

static void stop_soon(void) {
    struct itimerval once = {{0, 0}, {wait_for / 1000000, wait_for % 1000000}};
    if (wait_for) setitimer(ITIMER_REAL, &once, NULL);
    else stop(0);
}

/* After so many operations, or at once if -1, and so many microseconds. */
void arm(long allowed, long action, long signal_number, long microseconds) {
    struct sigaction ring = {.sa_handler = stop, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &ring, NULL);
    n_done = 0;
    n_allowed = allowed;
    what = (int)action;
    which_signal = (int)signal_number;
    wait_for = microseconds;
    if (what == SIGNAL && allowed < 0) stop_soon();
}

long operations(void) { return n_done; }

/* 1: the operation is to fail, since the disk is full from here on; what frees room still works. */
static int before(int takes_room) {
    if (n_done < 0) return 0;
    long number = __sync_fetch_and_add(&n_done, 1);
    if (what == COUNT || number < n_allowed) return 0;
    if (what == SIGNAL && number == n_allowed) stop_soon();
    if (what == FULL && takes_room) {
        errno = ENOSPC;
        return 1;
    }
    return 0;
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))
#define WRITES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT))

static int is_file(int handle) {
    struct stat status;
    return handle > 2 && fstat(handle, &status) == 0 && S_ISREG(status.st_mode);
}

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        va_list more;                                                     \
        va_start(more, flags);                                            \
        mode_t mode = va_arg(more, mode_t);                               \
        va_end(more);                                                     \
        if (WRITES(flags) && before(flags & O_CREAT)) return -1;          \
        return REAL(name)(path, flags, mode);                             \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                      \
    int name(int folder, const char *path, int flags, ...) {              \
        va_list more;                                                     \
        va_start(more, flags);                                            \
        mode_t mode = va_arg(more, mode_t);                               \
        va_end(more);                                                     \
        if (WRITES(flags) && before(flags & O_CREAT)) return -1;          \
        return REAL(name)(folder, path, flags, mode);                     \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                       \
    FILE *name(const char *path, const char *mode) {                      \
        if (mode[0] != 'r' && before(1)) return NULL;                     \
        return REAL(name)(path, mode);                                    \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define ONE(type, name, room, signature, call)                            \
    type name signature {                                                 \
        if (before(room)) return -1;                                      \
        return REAL(name) call;                                           \
    }
ONE(int, rename, 0, (const char *a, const char *b), (a, b))
ONE(int, renameat, 0, (int f, const char *a, int g, const char *b), (f, a, g, b))
ONE(int, unlink, 0, (const char *a), (a))
ONE(int, unlinkat, 0, (int f, const char *a, int flags), (f, a, flags))
ONE(int, rmdir, 0, (const char *a), (a))
ONE(int, mkdir, 1, (const char *a, mode_t mode), (a, mode))
ONE(int, mkdirat, 1, (int f, const char *a, mode_t mode), (f, a, mode))
ONE(int, link, 1, (const char *a, const char *b), (a, b))
ONE(int, linkat, 1, (int f, const char *a, int g, const char *b, int flags), (f, a, g, b, flags))
ONE(int, symlink, 1, (const char *a, const char *b), (a, b))
ONE(int, symlinkat, 1, (const char *a, int f, const char *b), (a, f, b))
ONE(int, fsync, 0, (int handle), (handle))
ONE(int, chmod, 0, (const char *a, mode_t mode), (a, mode))
ONE(int, ftruncate, 1, (int handle, off_t length), (handle, length))
ONE(int, ftruncate64, 1, (int handle, off64_t length), (handle, length))

#define TO(name, signature, call)                                         \
    ssize_t name signature {                                              \
        if (is_file(handle) && before(1)) return -1;                      \
        return REAL(name) call;                                           \
    }
TO(write, (int handle, const void *bytes, size_t n), (handle, bytes, n))
TO(pwrite, (int handle, const void *bytes, size_t n, off_t at), (handle, bytes, n, at))
TO(pwrite64, (int handle, const void *bytes, size_t n, off64_t at), (handle, bytes, n, at))
TO(writev, (int handle, const struct iovec *parts, int n), (handle, parts, n))
TO(sendfile, (int handle, int from, off_t *at, size_t n), (handle, from, at, n))
TO(sendfile64, (int handle, int from, off64_t *at, size_t n), (handle, from, at, n))
