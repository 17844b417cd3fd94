/* Lets the n-th call by which files below a folder are read fail with an error of choice; loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char under[4096];
static int left, error, fired;

void faults_arm(const char *folder, int at, int number) {
    snprintf(under, sizeof under, "%s", folder);
    left = at; error = number; fired = 0;
}
int faults_fired(void) { return fired; }

static int fails(const char *path) {
    if (!under[0] || !path || strncmp(path, under, strlen(under)) || --left) return 0;
    fired = 1; errno = error;
    return 1;
}
static int fails_at(int fd) {
    char link[64], path[4096];
    if (!under[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return fails(path);
}
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define READS(flags) (!((flags) & (O_WRONLY | O_RDWR | O_CREAT)))
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, int); va_end(more); \
        return READS(flags) && fails(path) ? -1 : NEXT(name)(path, flags, mode); \
    }
#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, int); va_end(more); \
        return READS(flags) && fails(path) ? -1 : NEXT(name)(at, path, flags, mode); \
    }
OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)
DIR *opendir(const char *path) { return fails(path) ? NULL : NEXT(opendir)(path); }
struct dirent *readdir(DIR *of) { return fails_at(dirfd(of)) ? NULL : NEXT(readdir)(of); }
struct dirent64 *readdir64(DIR *of) { return fails_at(dirfd(of)) ? NULL : NEXT(readdir64)(of); }
ssize_t read(int fd, void *to, size_t n) { return fails_at(fd) ? -1 : NEXT(read)(fd, to, n); }
