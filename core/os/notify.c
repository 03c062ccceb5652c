/*
 * The protocol of sd_notify(3): a datagram to the socket that $NOTIFY_SOCKET names. When to say
 * what is left to the daemon.
 */
#include <os/notify.h>

#include <os/path.h>

#include <run-core/attr.h>
#include <run-core/str.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A path, or a name in the abstract namespace, which begins with '@' here and with NUL there. */
static bool address_of(const char *name, struct sockaddr_un *out, socklen_t *len)
{
    size_t name_len = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || name_len < 2 || name_len >= sizeof(out->sun_path))
        return false;
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(out->sun_path, name, name_len);
    if (name[0] == '@')
        out->sun_path[0] = '\0';
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_len + (name[0] == '/'));
    return true;
}

enum rc_code core_notify(const char *state, struct rc_error *err)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t len;
    RC_CLEANUP(core_fd_close) int fd = -1;

    if (!name || !*name)
        return RC_OK;
    if (!address_of(name, &address, &len))
        return rc_fail(err, RC_INVALID, "NOTIFY_SOCKET is '%s', which is no address of a socket",
                       name);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return rc_fail_errno(err, errno, "cannot make a socket");
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
               (const struct sockaddr *)&address, len) < 0)
        return rc_fail(err, RC_UNAVAILABLE, "cannot tell the service manager at '%s': %s", name,
                       strerror(errno));
    return RC_OK;
}

int64_t core_notify_watchdog_ms(void)
{
    const char *interval = getenv("WATCHDOG_USEC"), *owner = getenv("WATCHDOG_PID");
    int64_t us, pid;

    if (!interval || !rc_parse_int(interval, &us) || us <= 0)
        return 0;
    /* Inherited by a process that is not meant. */
    if (owner && (!rc_parse_int(owner, &pid) || pid != getpid()))
        return 0;
    return us < 1000 ? 1 : us / 1000;
}
