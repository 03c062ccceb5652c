/*
 * Unix sockets as addresses: whom they replace and whom not, and who may open them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <http/address.h>

#include <run-core/str.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[32];

static int make_folder(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/rc-http-XXXXXX", sizeof("/tmp/rc-http-XXXXXX"));
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void is_open_to_its_owner_and_removed(void **state)
{
    RC_STR_AUTO address = rc_strf("unix:%s/socket", folder);
    struct core_listener listener;
    struct rc_error err = RC_ERROR_INIT;
    struct stat status;

    (void)state;
    assert_int_equal(core_listener_open(address, &listener, &err), RC_OK);
    assert_int_equal(stat(address + 5, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_true(listener.loopback && listener.is_unix);
    assert_string_equal(listener.url, address);
    core_listener_close(&listener);
    core_listener_close(&listener);
    assert_int_not_equal(stat(address + 5, &status), 0);
}

static void replaces_the_socket_of_the_dead(void **state)
{
    RC_STR_AUTO address = rc_strf("unix:%s/socket", folder);
    struct core_listener listener;
    struct rc_error err = RC_ERROR_INIT;
    int status = 0;
    pid_t child;

    (void)state;
    child = fork();
    if (child == 0) /* dies without removing it */
        _exit(core_listener_open(address, &listener, &err) == RC_OK ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(access(address + 5, F_OK), 0);
    assert_int_equal(core_listener_open(address, &listener, &err), RC_OK);
    core_listener_close(&listener);
}

static void leaves_the_living_alone(void **state)
{
    RC_STR_AUTO address = rc_strf("unix:%s/socket", folder);
    struct core_listener first, second;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_listener_open(address, &first, &err), RC_OK);
    assert_int_equal(core_listener_open(address, &second, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, "another process does"));
    assert_non_null(strstr(err.cause, address));
    /* One that was taken over meanwhile is not removed. */
    assert_int_equal(unlink(address + 5), 0);
    assert_int_equal(core_listener_open(address, &second, &err), RC_OK);
    core_listener_close(&first);
    assert_int_equal(access(address + 5, F_OK), 0);
    core_listener_close(&second);
}

/* Of many that start at once, one gets the address that a dead process left. */
static void lets_one_of_many_in(void **state)
{
    enum { STARTERS = 12 };
    RC_STR_AUTO address = rc_strf("unix:%s/socket", folder);
    int go[2], done[2], winners = 0;
    struct core_listener listener;
    struct rc_error err = RC_ERROR_INIT;
    pid_t children[STARTERS];

    (void)state;
    assert_int_equal(core_listener_open(address, &listener, &err), RC_OK);
    assert_int_equal(close(listener.fd), 0);
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(done), 0);
    for (int i = 0; i < STARTERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char c;
            bool won;

            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            (void)close(go[1]);
            (void)!read(go[0], &c, 1);
            won = core_listener_open(address, &listener, &err) == RC_OK;
            (void)!write(done[1], won ? "y" : "n", 1);
            (void)close(done[1]);
            if (won)
                (void)pause();
            _exit(err.code == RC_UNAVAILABLE ? 0 : 1);
        }
    }
    (void)close(go[0]);
    (void)close(go[1]);
    for (int i = 0; i < STARTERS; i++) {
        char c = '?';

        assert_int_equal(read(done[0], &c, 1), 1);
        winners += c == 'y';
    }
    assert_int_equal(winners, 1);
    for (int i = 0; i < STARTERS; i++) {
        (void)kill(children[i], SIGKILL);
        assert_int_equal(waitpid(children[i], NULL, 0), children[i]);
    }
    (void)close(done[0]);
    (void)close(done[1]);
    assert_int_equal(unlink(address + 5), 0);
}

static void says_what_is_wrong_with_a_path(void **state)
{
    RC_STR_AUTO address = rc_strf("unix:%s/file", folder);
    struct core_listener listener;
    struct rc_error err = RC_ERROR_INIT;
    char path[256] = "unix:/";
    int fd = open(address + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(core_listener_open(address, &listener, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "no socket"));
    assert_int_equal(access(address + 5, F_OK), 0);
    assert_int_equal(core_listener_open("unix:socket", &listener, &err), RC_INVALID);
    assert_int_equal(core_listener_open("unix:", &listener, &err), RC_INVALID);
    assert_int_equal(core_listener_open("unix:/no/such/folder/s", &listener, &err), RC_NOT_FOUND);
    memset(path + 6, 'a', 108);
    assert_int_equal(core_listener_open(path, &listener, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "at most 107 bytes"));
    assert_int_equal(core_listener_open("localhost", &listener, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "unix:/PATH"));
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(address + 5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_open_to_its_owner_and_removed),
        cmocka_unit_test(replaces_the_socket_of_the_dead),
        cmocka_unit_test(leaves_the_living_alone),
        cmocka_unit_test(lets_one_of_many_in),
        cmocka_unit_test(says_what_is_wrong_with_a_path),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
