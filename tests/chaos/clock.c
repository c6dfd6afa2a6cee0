/* A clock of its own for one process, preloaded by tests/chaos/clocks.py: the time of day is wrong by the seconds, a
 * number of eight bytes, that stand in the file CHAOS_CLOCK. The monotonic clock, which no jump moves, is untouched.
 *
 * Waits until a time of day end at the right moment: they are handed on by the machine's clock. Those by the monotonic
 * clock, as of Python's own locks, go straight through.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *wrong_by;
static int (*machine)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CHAOS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    machine = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (file < 0)
        return;
    void *seen = mmap(NULL, sizeof *wrong_by, PROT_READ, MAP_SHARED, file, 0);
    if (seen != MAP_FAILED)
        wrong_by = seen;
    close(file);
}

static time_t offset(void)
{
    return wrong_by ? *wrong_by : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = machine ? machine(clock, now) : (int)syscall(SYS_clock_gettime, clock, now);

    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *now, int base)
{
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, now) ? base : 0;
}

static struct timespec of_machine(const struct timespec *until)
{
    return (struct timespec){until->tv_sec - offset(), until->tv_nsec};
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
    struct timespec right = of_machine(until);

    return sem_clockwait(semaphore, CLOCK_REALTIME, &right);
}

/* Which clock it goes by, the condition alone knows; but no machine has been up for thirty years. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    struct timespec right = of_machine(until);

    if (until->tv_sec < 1000000000)
        return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, until);
    return pthread_cond_clockwait(condition, mutex, CLOCK_REALTIME, &right);
}
