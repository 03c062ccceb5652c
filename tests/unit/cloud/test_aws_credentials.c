/*
 * Credentials kept fresh for many threads. They come from a credential process, which does as files
 * tell it: 'reply' is what it prints, 'sleep' for how long it waits first, 'fail' makes it fail,
 * and in 'calls' each call is a byte. Where else they may come from is in
 * tests/system/test_aws_credentials.py.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <cloud/aws_credentials.h>

#include <os/clock.h>
#include <os/file.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 32, PATIENCE_MS = 20 * 1000 };

static const char script[] = "#!/bin/sh\n"
                             "cd \"$1\"\n"
                             "printf . >>calls\n"
                             "echo $$ >pid\n"
                             "[ ! -e sleep ] || sleep $(cat sleep)\n"
                             "[ ! -e fail ] || { echo refused >&2; exit 1; }\n"
                             "cat reply\n";

static char folder[] = "/tmp/rc-aws-XXXXXX";

static void put(const char *name, const char *text)
{
    RC_STR_AUTO path = rc_strf("%s/%s", folder, name);
    struct rc_error err = RC_ERROR_INIT;

    if (core_file_write(path, text, strlen(text), 0700, &err))
        fail_msg("%s", err.cause);
}

static void drop(const char *name)
{
    RC_STR_AUTO path = rc_strf("%s/%s", folder, name);

    (void)unlink(path);
}

static size_t calls(void)
{
    RC_STR_AUTO path = rc_strf("%s/calls", folder);
    struct stat status;

    return stat(path, &status) == 0 ? (size_t)status.st_size : 0;
}

/* The process gives keys of that name, which end after 'life_ms'; 0: never. */
static void reply(const char *name, int64_t life_ms)
{
    char time[RC_TIME_TEXT];
    RC_STR_AUTO end = life_ms ? rc_strf(", \"Expiration\": \"%s\"",
                                        rc_format_time(core_clock_real_unix_ms() + life_ms, time))
                              : rc_strdup("");
    RC_STR_AUTO text = rc_strf("{\"Version\": 1, \"AccessKeyId\": \"%s\", \"SecretAccessKey\": "
                               "\"secret-of-%s\"%s}",
                               name, name, end);

    put("reply", text);
}

static int begin(void **state)
{
    static const char *const files[] = { "calls", "sleep", "fail" };
    const struct core_aws_credentials_settings settings = { .profile = "p" };

    for (size_t i = 0; i < RC_ARRAY_LEN(files); i++)
        drop(files[i]);
    reply("A", 3600 * 1000);
    *state = core_aws_credentials_new(&settings);
    return 0;
}

static int end(void **state)
{
    core_aws_credentials_free(*state);
    return 0;
}

/* The name of what is got, or of the code. */
static char *get(struct core_aws_credentials *credentials)
{
    CORE_AWS_KEYS_AUTO(keys);
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = core_aws_credentials_get(credentials, NULL, &keys, &err);

    return rc_strdup(code ? rc_code_name(code) : keys.access_key_id);
}

static void check_get(struct core_aws_credentials *credentials, const char *want)
{
    RC_STR_AUTO found = get(credentials);

    assert_string_equal(found, want);
}

static bool refuse(struct core_aws_credentials *credentials, const char *name)
{
    RC_STR_AUTO secret = rc_strf("secret-of-%s", name);
    struct core_aws_keys keys = { .access_key_id = (char *)(uintptr_t)name,
                                  .secret_access_key = secret };

    return core_aws_credentials_refuse(credentials, &keys);
}

/* ---- many threads ---------------------------------------------------------------------------- */

struct crowd {
    struct core_aws_credentials *credentials;
    const char *want;
    atomic_int wrong;
};

static void *get_in_thread(void *context)
{
    struct crowd *crowd = context;

    for (int i = 0; i < 20; i++) {
        RC_STR_AUTO found = get(crowd->credentials);

        if (strcmp(found, crowd->want) != 0)
            atomic_fetch_add(&crowd->wrong, 1);
    }
    return NULL;
}

static void get_by_all(struct core_aws_credentials *credentials, const char *want)
{
    struct crowd crowd = { .credentials = credentials, .want = want };
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_in_thread, &crowd), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&crowd.wrong), 0);
}

static void asks_once_for_all(void **state)
{
    get_by_all(*state, "A");
    assert_int_equal(calls(), 1);
}

static void does_not_hammer_what_fails(void **state)
{
    int64_t begin_ms = core_clock_mono_ms();

    put("fail", "");
    get_by_all(*state, "denied");
    /* Once a second, and once more. */
    assert_in_range(calls(), 1, (core_clock_mono_ms() - begin_ms) / 1000 + 2);
    drop("fail");
    core_clock_sleep_ms(1100);
    check_get(*state, "A");
}

/* ---- time ------------------------------------------------------------------------------------ */

static void takes_what_has_no_end(void **state)
{
    CORE_AWS_KEYS_AUTO(keys);
    struct rc_error err = RC_ERROR_INIT;

    reply("A", 0);
    assert_int_equal(core_aws_credentials_get(*state, NULL, &keys, &err), RC_OK);
    assert_true(keys.expires_unix_ms == INT64_MAX);
    assert_null(keys.session_token);
}

static void refuses_what_has_ended(void **state)
{
    CORE_AWS_KEYS_AUTO(keys);
    struct rc_error err = RC_ERROR_INIT;

    reply("A", -60 * 1000);
    assert_int_equal(core_aws_credentials_get(*state, NULL, &keys, &err), RC_DENIED);
    assert_non_null(strstr(err.cause, "have ended at"));
}

/* From the half of a short life on others are fetched; whether that fails counts at the end. */
static void goes_on_with_old_ones(void **state)
{
    enum { LIFE_MS = 6000 };
    int64_t end_ms = core_clock_real_unix_ms() + LIFE_MS;

    reply("A", LIFE_MS);
    check_get(*state, "A");
    check_get(*state, "A");
    assert_int_equal(calls(), 1);
    put("fail", "");
    core_clock_sleep_ms(LIFE_MS / 2 + 100);
    check_get(*state, "A");
    assert_int_equal(calls(), 2);
    get_by_all(*state, "A"); /* and nobody asks again so soon */
    assert_int_equal(calls(), 2);
    drop("fail");
    reply("B", 3600 * 1000);
    while (core_clock_real_unix_ms() <= end_ms)
        core_clock_sleep_ms(10);
    check_get(*state, "B");
    assert_int_equal(calls(), 3);
}

static void renews_early(void **state)
{
    reply("A", 6000);
    check_get(*state, "A");
    reply("B", 3600 * 1000);
    core_clock_sleep_ms(3200);
    check_get(*state, "B");
    check_get(*state, "B");
    assert_int_equal(calls(), 2);
}

/* ---- refusal --------------------------------------------------------------------------------- */

static void fetches_others_for_refused_ones(void **state)
{
    check_get(*state, "A");
    reply("B", 3600 * 1000);
    assert_true(refuse(*state, "A"));
    check_get(*state, "B");
    assert_true(refuse(*state, "A")); /* long ago */
    check_get(*state, "B");
    assert_int_equal(calls(), 2);
    assert_true(refuse(*state, "B"));
    check_get(*state, "B");
    assert_int_equal(calls(), 3);
    assert_false(refuse(*state, "B")); /* the same again: there are no better ones */
    check_get(*state, "B");
    assert_int_equal(calls(), 3);
}

static void gives_no_refused_ones(void **state)
{
    check_get(*state, "A");
    put("fail", "");
    assert_true(refuse(*state, "A"));
    check_get(*state, "denied");
}

static void has_no_others_than_given_ones(void **state)
{
    const struct core_aws_credentials_settings given = { .access_key_id = "A",
                                                         .secret_access_key = "secret-of-A" };
    const struct core_aws_credentials_settings nobody = { .anonymous = true };
    struct core_aws_credentials *credentials = core_aws_credentials_new(&given);
    CORE_AWS_KEYS_AUTO(keys);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    check_get(credentials, "A");
    assert_false(refuse(credentials, "A"));
    core_aws_credentials_free(credentials);

    credentials = core_aws_credentials_new(&nobody);
    assert_int_equal(core_aws_credentials_get(credentials, NULL, &keys, &err), RC_OK);
    assert_null(keys.access_key_id);
    assert_false(core_aws_credentials_refuse(credentials, &keys));
    core_aws_credentials_free(credentials);
    core_aws_credentials_free(NULL);
}

static void half_of_given_ones_is_a_mistake(void **state)
{
    static const struct core_aws_credentials_settings halves[] = {
        { .access_key_id = "A" },
        { .access_key_id = "A", .secret_access_key = "" },
        { .secret_access_key = "secret-of-A" },
        { .access_key_id = "", .secret_access_key = "secret-of-A" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(halves); i++) {
        struct core_aws_credentials *credentials = core_aws_credentials_new(&halves[i]);
        CORE_AWS_KEYS_AUTO(keys);
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(core_aws_credentials_get(credentials, NULL, &keys, &err), RC_INVALID);
        assert_non_null(strstr(err.cause, "'access_key_id'"));
        assert_non_null(strstr(err.cause, "'secret_access_key'"));
        assert_null(strstr(err.cause, "secret-of-A"));
        core_aws_credentials_free(credentials);
    }
}

/* ---- being asked to stop --------------------------------------------------------------------- */

struct waiter {
    struct core_aws_credentials *credentials;
    struct core_cancel cancel;
    enum rc_code code;
    char cause[RC_ERROR_TEXT];
};

static void *wait_in_thread(void *context)
{
    struct waiter *waiter = context;
    CORE_AWS_KEYS_AUTO(keys);
    struct rc_error err = RC_ERROR_INIT;

    waiter->code = core_aws_credentials_get(waiter->credentials, &waiter->cancel, &keys, &err);
    memcpy(waiter->cause, err.cause, sizeof(waiter->cause));
    return NULL;
}

static pid_t process_id(void)
{
    RC_STR_AUTO path = rc_strf("%s/pid", folder);
    RC_BUF_AUTO(text, 100);
    struct rc_error err = RC_ERROR_INIT;
    int64_t id = 0;

    if (core_file_read(path, &text, &err) == RC_OK && text.len > 0) {
        rc_buf_truncate(&text, text.len - 1);
        if (!rc_parse_int(text.data, &id))
            id = 0;
    }
    return (pid_t)id;
}

/* Whoever is asked to stop does, with the process; the others go on. */
static void stops_when_asked(void **state)
{
    struct waiter first = { .credentials = *state, .cancel = CORE_CANCEL_INIT };
    struct waiter second = first, third = first;
    pthread_t threads[3];
    int64_t begin_ms = core_clock_mono_ms();

    drop("pid");
    put("sleep", "60");
    assert_int_equal(pthread_create(&threads[0], NULL, wait_in_thread, &first), 0);
    while (process_id() == 0 && core_clock_mono_ms() - begin_ms < PATIENCE_MS)
        core_clock_sleep_ms(10);
    pid_t process = process_id();
    assert_int_equal(kill(process, 0), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, wait_in_thread, &second), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, wait_in_thread, &third), 0);

    core_cancel_request(&second.cancel, RC_TIMEOUT);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    assert_int_equal(second.code, RC_TIMEOUT);
    drop("sleep");
    core_cancel_request(&first.cancel, RC_CANCELLED);
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(first.code, RC_CANCELLED);
    assert_int_equal(kill(process, 0), -1);
    assert_int_equal(pthread_join(threads[2], NULL), 0);
    assert_int_equal(third.code, RC_OK);
    assert_true(core_clock_mono_ms() - begin_ms < PATIENCE_MS);
}

static void bounds_what_a_process_prints(void **state)
{
    RC_BUF_AUTO(text, 200 * 1000);
    CORE_AWS_KEYS_AUTO(keys);
    struct rc_error err = RC_ERROR_INIT;

    while (text.len < 100 * 1000)
        rc_buf_adds(&text, "and so on ");
    put("reply", text.data);
    assert_int_equal(core_aws_credentials_get(*state, NULL, &keys, &err), RC_CORRUPT);
    assert_non_null(strstr(err.cause, "more than 64 KiB"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asks_once_for_all, begin, end),
        cmocka_unit_test_setup_teardown(does_not_hammer_what_fails, begin, end),
        cmocka_unit_test_setup_teardown(takes_what_has_no_end, begin, end),
        cmocka_unit_test_setup_teardown(refuses_what_has_ended, begin, end),
        cmocka_unit_test_setup_teardown(goes_on_with_old_ones, begin, end),
        cmocka_unit_test_setup_teardown(renews_early, begin, end),
        cmocka_unit_test_setup_teardown(fetches_others_for_refused_ones, begin, end),
        cmocka_unit_test_setup_teardown(gives_no_refused_ones, begin, end),
        cmocka_unit_test_setup_teardown(has_no_others_than_given_ones, begin, end),
        cmocka_unit_test_setup_teardown(half_of_given_ones_is_a_mistake, begin, end),
        cmocka_unit_test_setup_teardown(stops_when_asked, begin, end),
        cmocka_unit_test_setup_teardown(bounds_what_a_process_prints, begin, end),
    };
    struct rc_error err = RC_ERROR_INIT;
    int failed;

    if (!mkdtemp(folder))
        return 1;
    RC_STR_AUTO config = rc_strf("%s/config", folder);
    RC_STR_AUTO profile = rc_strf("[profile p]\ncredential_process = %s/give %s\n", folder, folder);
    put("give", script);
    put("config", profile);
    setenv("AWS_CONFIG_FILE", config, 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    unsetenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    failed = cmocka_run_group_tests_name("aws_credentials", tests, NULL, NULL);
    (void)!core_tree_remove(folder, &err);
    return failed;
}
