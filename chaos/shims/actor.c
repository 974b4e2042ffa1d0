/*
 * An actor that panics or hangs, for one process: loaded before libc, it lets readings of the wall clock fail, or never end, on
 * threads whose names begin with CHAOS_THREADS. Rust's library panics where the clock cannot be read, in the middle of whatever
 * read it. The file CHAOS_CONTROL says when, and counts.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum mode { PANICS = 1, HANGS };

/* As little-endian words in the control file: what happens, how often still (negative: always), how often it did. */
struct control {
    volatile int32_t mode;
    volatile int32_t left;
    volatile int64_t done;
};

static struct control *control;
static char threads[16];
static int (*next_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    next_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CHAOS_CONTROL"), *names = getenv("CHAOS_THREADS");
    if (!path || !names)
        return;
    strncpy(threads, names, sizeof threads - 1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED)
        control = shared;
}

/* Whether it befalls this reading. */
static int befalls(enum mode mode)
{
    if (!control || control->mode != mode || control->left == 0)
        return 0;
    char name[16] = "";
    prctl(PR_GET_NAME, name);
    if (strncmp(name, threads, strlen(threads)) != 0)
        return 0;
    if (control->left > 0 && __sync_fetch_and_sub(&control->left, 1) <= 0)
        return 0;
    __sync_fetch_and_add(&control->done, 1);
    return 1;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (clock == CLOCK_REALTIME && befalls(PANICS)) {
        errno = EINVAL;
        return -1;
    }
    if (clock == CLOCK_REALTIME && befalls(HANGS)) {
        struct timespec pause = { 0, 10 * 1000 * 1000 };
        while (control->mode == HANGS)
            nanosleep(&pause, NULL);
    }
    if (!next_clock_gettime)
        return (int)syscall(SYS_clock_gettime, clock, time);
    return next_clock_gettime(clock, time);
}
