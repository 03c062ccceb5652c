/*
 * Reading descriptors out of files, whole and damaged. The plugins come from the build, so the
 * fixtures are what the compiler of the day makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <runtime/image.h>

#include <run-core/str.h>

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 16 * 1024 * 1024 };

static char *plugin_path(const char *name)
{
    const char *build = getenv("RUN_CORE_BUILD");

    if (!build)
        fail_msg("RUN_CORE_BUILD has to name the build with its test plugins");
    return rc_strf("%s/test-plugins/%s.so", build, name);
}

static void read_plugin(const char *name, struct rc_buf *out)
{
    RC_STR_AUTO path = plugin_path(name);
    FILE *file = fopen(path, "rb");
    char chunk[4096];
    size_t got;

    if (!file)
        fail_msg("cannot open '%s'", path);
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
        rc_buf_add(out, chunk, got);
    assert_int_equal(fclose(file), 0);
    assert_false(out->overflow);
}

/* Opens 'len' bytes as if they were a file; what came out is closed again. */
static enum rc_code try_bytes(const void *data, size_t len, struct rc_error *err)
{
    char path[] = "/tmp/run-core-image-XXXXXX";
    int fd = mkstemp(path);
    struct core_image image;
    enum rc_code code;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(close(fd), 0);
    code = core_image_open(path, &image, err);
    if (code == RC_OK)
        core_image_close(&image);
    assert_int_equal(unlink(path), 0);
    return code;
}

static void reads_what_a_plugin_declares(void **state)
{
    RC_STR_AUTO path = plugin_path("noop");
    struct core_image image;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(core_image_open(path, &image, &err), RC_OK);
    assert_string_equal(image.plugin->name, "noop");
    assert_string_equal(image.plugin->version, "1.0");
    assert_int_equal(image.plugin->action_count, 1);
    assert_string_equal(image.plugin->actions[0].name, "noop");
    assert_non_null(image.plugin->actions[0].run);
    assert_null(image.plugin->handle);
    core_image_close(&image);
    core_image_close(&image);
}

static void says_what_is_wrong(void **state)
{
    static const char script[] =
        "#!/bin/sh\nexit 0\n# and enough behind it to be as long as the header of an object\n";
    RC_BUF_AUTO(file, FILE_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    Elf64_Ehdr *header;

    (void)state;
    assert_int_equal(try_bytes("", 0, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "not an ELF file"));
    assert_int_equal(try_bytes(script, sizeof(script) - 1, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "not an ELF file"));

    read_plugin("noop", &file);
    header = (Elf64_Ehdr *)(void *)file.data;
    header->e_machine = EM_SPARCV9;
    assert_int_equal(try_bytes(file.data, file.len, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "another machine"));

    rc_buf_reset(&file);
    read_plugin("noop", &file);
    header = (Elf64_Ehdr *)(void *)file.data;
    header->e_type = ET_REL;
    assert_int_equal(try_bytes(file.data, file.len, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "-shared"));

    rc_buf_reset(&file);
    read_plugin("noop", &file);
    assert_int_equal(try_bytes(file.data, file.len / 4, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "damaged"));
}

static void refuses_what_is_no_plugin(void **state)
{
    struct core_image image;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_image_open("/nonexistent/x.so", &image, &err), RC_NOT_FOUND);
    assert_int_equal(core_image_open("/dev/null", &image, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "regular file"));
    /* This very program. */
    assert_int_equal(core_image_open("/proc/self/exe", &image, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "program"));
}

/* A small generator of our own: the same damage in every run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Whatever is broken, the answer is an error or a descriptor, never a read outside the image. */
static void survives_any_damage(void **state)
{
    static const uint8_t favourites[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
    RC_BUF_AUTO(whole, FILE_BYTES);
    uint64_t seed = 20260131;
    size_t interesting;

    (void)state;
    read_plugin("noop", &whole);
    for (int round = 0; round < 3000; round++) {
        RC_BUF_AUTO(file, FILE_BYTES);
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code;

        rc_buf_add(&file, whole.data, whole.len);
        /* Half of the damage goes where the headers are. */
        interesting = round % 2 ? file.len : 1024;
        for (uint64_t hits = 1 + next_random(&seed) % 8; hits > 0; hits--) {
            size_t at = next_random(&seed) % interesting;

            file.data[at] =
                (char)(next_random(&seed) % 2 ? favourites[next_random(&seed) % sizeof(favourites)]
                                              : (uint8_t)next_random(&seed));
        }
        if (round % 16 == 0)
            rc_buf_truncate(&file, next_random(&seed) % file.len);
        code = try_bytes(file.data, file.len, &err);
        assert_true(code == RC_OK || code == RC_INVALID);
    }
}

static void finds_nothing_missing_in_a_good_plugin(void **state)
{
    RC_STR_AUTO path = plugin_path("noop");
    RC_BUF_AUTO(missing, 4096);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(core_image_unresolved(path, &missing, &err), RC_OK);
    assert_string_equal(missing.data, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_a_plugin_declares),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(refuses_what_is_no_plugin),
        cmocka_unit_test(survives_any_damage),
        cmocka_unit_test(finds_nothing_missing_in_a_good_plugin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
