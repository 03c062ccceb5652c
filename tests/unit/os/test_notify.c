/*
 * What the service manager gets to read, over both kinds of socket.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <os/notify.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A manager's socket; 'name' as in $NOTIFY_SOCKET. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_true(len < sizeof(address.sun_path));
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(
        bind(fd, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'))),
        0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void expect_read(int fd, const char *text)
{
    char got[256];
    ssize_t len = recv(fd, got, sizeof(got) - 1, 0);

    assert_true(len >= 0);
    got[len] = '\0';
    assert_string_equal(got, text);
}

static void sends(const char *name)
{
    struct rc_error err = RC_ERROR_INIT;
    int fd = listen_at(name);

    assert_int_equal(core_notify(CORE_NOTIFY_READY "\nSTATUS=7 jobs", &err), RC_OK);
    assert_int_equal(core_notify(CORE_NOTIFY_STOPPING, &err), RC_OK);
    expect_read(fd, "READY=1\nSTATUS=7 jobs");
    expect_read(fd, "STOPPING=1");
    close(fd);
    assert_int_equal(core_notify(CORE_NOTIFY_WATCHDOG, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, name));
}

static void to_a_path(void **state)
{
    RC_STR_AUTO path = rc_strf("/tmp/rc-notify-%d", (int)getpid());

    (void)state;
    unlink(path);
    sends(path);
    unlink(path);
}

static void to_a_name(void **state)
{
    RC_STR_AUTO name = rc_strf("@rc-notify-%d", (int)getpid());

    (void)state;
    sends(name);
}

/* A manager that does not read keeps nobody waiting. */
static void never_waits(void **state)
{
    RC_STR_AUTO name = rc_strf("@rc-notify-full-%d", (int)getpid());
    struct rc_error err = RC_ERROR_INIT;
    int fd = listen_at(name);
    enum rc_code code = RC_OK;

    (void)state;
    for (int i = 0; i < 100000 && code == RC_OK; i++)
        code = core_notify(CORE_NOTIFY_WATCHDOG, &err);
    assert_int_equal(code, RC_UNAVAILABLE);
    close(fd);
}

static void without_a_manager(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(core_notify(CORE_NOTIFY_READY, &err), RC_OK);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(core_notify(CORE_NOTIFY_READY, &err), RC_OK);
}

static void wrong_addresses(void **state)
{
    char longest[300];
    const char *const names[] = { "relative", "@", "/", longest };

    (void)state;
    memset(longest, 'a', sizeof(longest));
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        struct rc_error err = RC_ERROR_INIT;

        setenv("NOTIFY_SOCKET", names[i], 1);
        assert_int_equal(core_notify(CORE_NOTIFY_READY, &err), RC_INVALID);
    }
}

static void watchdog(void **state)
{
    RC_STR_AUTO own = rc_strf("%d", (int)getpid());

    (void)state;
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    assert_int_equal(core_notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(core_notify_watchdog_ms(), 30000);
    setenv("WATCHDOG_PID", own, 1);
    assert_int_equal(core_notify_watchdog_ms(), 30000);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(core_notify_watchdog_ms(), 0);
    setenv("WATCHDOG_PID", own, 1);
    setenv("WATCHDOG_USEC", "5", 1);
    assert_int_equal(core_notify_watchdog_ms(), 1);
    setenv("WATCHDOG_USEC", "soon", 1);
    assert_int_equal(core_notify_watchdog_ms(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_a_path),       cmocka_unit_test(to_a_name),
        cmocka_unit_test(never_waits),     cmocka_unit_test(without_a_manager),
        cmocka_unit_test(wrong_addresses), cmocka_unit_test(watchdog),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
