/*
 * A disk that fails, for one process: loaded before libc, it makes calls on files below CHAOS_BELOW fail as the file CHAOS_CONTROL
 * says, which is shared with whoever does the fault, so that it begins and ends while the process runs, and is counted.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum mode { READS_FAIL = 1, WRITES_FAIL, FLUSHES_FAIL, WRITES_SHORT, WRITES_TORN, FLUSHES_SLOW };

/* As little-endian words in the control file: what fails, how often still (negative: always), how often it did. */
struct control {
    volatile int32_t mode;
    volatile int32_t left;
    volatile int64_t done;
};

static struct control *control;
static char below[4096];

static ssize_t (*next_read)(int, void *, size_t);
static ssize_t (*next_pread)(int, void *, size_t, off64_t);
static ssize_t (*next_write)(int, const void *, size_t);
static ssize_t (*next_pwrite)(int, const void *, size_t, off64_t);
static int (*next_fsync)(int);
static int (*next_fdatasync)(int);

__attribute__((constructor)) static void begin(void)
{
    next_read = dlsym(RTLD_NEXT, "read");
    next_pread = dlsym(RTLD_NEXT, "pread64");
    next_write = dlsym(RTLD_NEXT, "write");
    next_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    next_fsync = dlsym(RTLD_NEXT, "fsync");
    next_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    const char *path = getenv("CHAOS_CONTROL"), *folder = getenv("CHAOS_BELOW");
    if (!path || !folder)
        return;
    strncpy(below, folder, sizeof below - 1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED)
        control = shared;
}

/* Whether it befalls this call. */
static int befalls(int fd, enum mode mode)
{
    if (!control || control->mode != mode || control->left == 0)
        return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || strncmp(path, below, strlen(below)) != 0)
        return 0;
    if (control->left > 0 && __sync_fetch_and_sub(&control->left, 1) <= 0)
        return 0;
    __sync_fetch_and_add(&control->done, 1);
    return 1;
}

static int fails(void)
{
    errno = EIO;
    return -1;
}

ssize_t read(int fd, void *bytes, size_t count)
{
    return befalls(fd, READS_FAIL) ? fails() : next_read(fd, bytes, count);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at)
{
    return befalls(fd, READS_FAIL) ? fails() : next_pread(fd, bytes, count, at);
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    if (befalls(fd, WRITES_FAIL))
        return fails();
    if (count > 1 && befalls(fd, WRITES_SHORT))
        return next_write(fd, bytes, count / 2);
    if (count > 1 && befalls(fd, WRITES_TORN)) {
        next_write(fd, bytes, count / 2);
        kill(getpid(), SIGKILL);
    }
    return next_write(fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at)
{
    if (befalls(fd, WRITES_FAIL))
        return fails();
    if (count > 1 && befalls(fd, WRITES_SHORT))
        return next_pwrite(fd, bytes, count / 2, at);
    if (count > 1 && befalls(fd, WRITES_TORN)) {
        next_pwrite(fd, bytes, count / 2, at);
        kill(getpid(), SIGKILL);
    }
    return next_pwrite(fd, bytes, count, at);
}

static void dawdle(int fd)
{
    struct timespec time = { 2, 0 };
    if (befalls(fd, FLUSHES_SLOW))
        nanosleep(&time, NULL);
}

int fsync(int fd)
{
    dawdle(fd);
    return befalls(fd, FLUSHES_FAIL) ? fails() : next_fsync(fd);
}

int fdatasync(int fd)
{
    dawdle(fd);
    return befalls(fd, FLUSHES_FAIL) ? fails() : next_fdatasync(fd);
}
