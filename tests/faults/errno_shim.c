/* Makes calls of the C library fail with errors that this machine cannot be made to give.
   Preloaded; a test sets the variables through ctypes. Other files are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

char fault_path[4096] = "";  /* fails where this is a part of the name */
int fault_errno = 0;         /* 0: nothing fails */
int fault_on_open = 0;       /* else on read */
int fault_times = -1;        /* so often, then no more; -1: for ever */
int fault_gai = 0;           /* what getaddrinfo gives */

static int strikes(void) {
    if (!fault_errno || !fault_path[0] || fault_times == 0) return 0;
    if (fault_times > 0) fault_times--;
    errno = fault_errno;
    return 1;
}

static int is_meant(int fd) {
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name - 1);
    if (n < 0) return 0;
    name[n] = 0;
    return strstr(name, fault_path) != NULL;
}

#define OPEN(NAME)                                                              \
    int NAME(const char *path, int flags, ...) {                                \
        static int (*real)(const char *, int, ...);                             \
        if (!real) real = dlsym(RTLD_NEXT, #NAME);                              \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = va_arg(rest, mode_t);                                     \
        va_end(rest);                                                           \
        if (fault_on_open && fault_path[0] && strstr(path, fault_path) && strikes()) return -1; \
        return real(path, flags, mode);                                         \
    }
OPEN(open)
OPEN(open64)

ssize_t read(int fd, void *buffer, size_t size) {
    static ssize_t (*real)(int, void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "read");
    if (!fault_on_open && fault_errno && fault_path[0]) {
        int before = errno;
        if (is_meant(fd) && strikes()) return -1;
        errno = before;
    }
    return real(fd, buffer, size);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real) real = dlsym(RTLD_NEXT, "getaddrinfo");
    return fault_gai ? fault_gai : real(node, service, hints, found);
}
