/*
 * Preloaded into keepalived, and into the ipvsadm that the original ldirectord starts: a kernel whose IPVS takes every
 * change and whose table is empty. Both ask for IPVS by generic netlink first, which a kernel without it does not
 * know, and then with these two system calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* <linux/ip_vs.h>: 64 options from IP_VS_BASE_CTL on, of which IP_VS_SO_GET_INFO answers with the version first. */
enum { FIRST = 64 + 1024 + 64, LAST = FIRST + 63, INFO = FIRST + 1, VERSION = 0x010201 };

static int is_ipvs(int level, int name)
{
    return level == IPPROTO_IP && name >= FIRST && name <= LAST;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    static int (*kernel)(int, int, int, const void *, socklen_t);

    if (is_ipvs(level, name))
        return 0;
    if (!kernel)
        kernel = (int (*)(int, int, int, const void *, socklen_t))dlsym(RTLD_NEXT, "setsockopt");
    return kernel(fd, level, name, value, length);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    static int (*kernel)(int, int, int, void *, socklen_t *);
    const int version = VERSION;

    if (is_ipvs(level, name)) {
        memset(value, 0, *length);
        if (name == INFO && *length >= sizeof version)
            memcpy(value, &version, sizeof version);
        return 0;
    }
    if (!kernel)
        kernel = (int (*)(int, int, int, void *, socklen_t *))dlsym(RTLD_NEXT, "getsockopt");
    return kernel(fd, level, name, value, length);
}
