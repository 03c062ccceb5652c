/*
 * Egress' compression: what it writes is read by the gzip and zstd programs, what they write is
 * read by it, in pieces of any size; and what is cut off, damaged or followed by something else is
 * refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <compress.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

enum { MEMBER_COUNT = 5, TEXT_LIMIT = 8 << 20 };

/* The sizes of the members of a test's file; the second one is empty. */
static const size_t member_lens[MEMBER_COUNT] = { 1, 0, 100, 300000, 70001 };

static const struct egress_compression compressions[] = {
    { EGRESS_CODEC_NONE, 0 },  { EGRESS_CODEC_GZIP, 1 }, { EGRESS_CODEC_GZIP, 5 },
    { EGRESS_CODEC_GZIP, 12 }, { EGRESS_CODEC_ZSTD, 1 }, { EGRESS_CODEC_ZSTD, 19 },
};

/* Lines that compress, and with 'noise' bytes that do not. */
static void add_text(struct rc_buf *out, size_t len, bool noise)
{
    static uint32_t seed = 1;
    size_t end = out->len + len;

    while (out->len < end) {
        seed = seed * 1664525 + 1013904223;
        if (noise)
            rc_buf_addc(out, (char)(seed >> 24));
        else
            rc_buf_addf(out, "%u,\"line %u\",t\n", seed >> 20, seed >> 28);
    }
    rc_buf_truncate(out, end);
}

static void compress_members(const struct egress_compression *compression, bool noise,
                             struct rc_buf *text, struct rc_buf *stored)
{
    struct egress_compressor *compressor = egress_compressor_new(compression);

    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        size_t begin = text->len, bound = egress_compressor_bound(compressor, member_lens[i]), len;
        struct rc_error err;
        char *room;

        add_text(text, member_lens[i], noise);
        room = rc_buf_reserve(stored, bound);
        assert_int_equal(egress_compress(compressor, text->data + begin, member_lens[i], room,
                                         bound, &len, &err),
                         RC_OK);
        assert_true(len <= bound);
        rc_buf_added(stored, len);
    }
    egress_compressor_free(compressor);
}

/* Expands it, given and taken in pieces of these sizes. */
static enum rc_code expand(enum egress_codec codec, const char *data, size_t len, size_t give,
                           size_t take, struct rc_buf *out, struct rc_error *err)
{
    struct egress_expander *expander = egress_expander_new(codec);
    enum rc_code code = RC_OK;

    while (!code) {
        size_t given = len < give ? len : give, left = given, out_len;
        const char *at = data;

        do {
            code =
                egress_expand(expander, &at, &left, rc_buf_reserve(out, take), take, &out_len, err);
            if (!code)
                rc_buf_added(out, out_len);
        } while (!code && (out_len > 0 || left > 0));
        data += given;
        len -= given;
        if (!code && len == 0) {
            code = egress_expander_end(expander, err);
            break;
        }
    }
    egress_expander_free(expander);
    return code;
}

static void assert_expands(enum egress_codec codec, const struct rc_buf *stored, size_t give,
                           size_t take, const struct rc_buf *text)
{
    RC_BUF_AUTO(out, TEXT_LIMIT);
    struct rc_error err = RC_ERROR_INIT;

    if (expand(codec, stored->data, stored->len, give, take, &out, &err))
        fail_msg("%s", err.cause);
    assert_int_equal(out.len, text->len);
    assert_memory_equal(out.data, text->data, text->len);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct egress_compression compression;
        const char *name, *extension, *type;
    } good[] = {
        { "gzip", { EGRESS_CODEC_GZIP, 5 }, "gzip", ".gz", "application/gzip" },
        { "gzip:1", { EGRESS_CODEC_GZIP, 1 }, "gzip", ".gz", "application/gzip" },
        { "gzip:12", { EGRESS_CODEC_GZIP, 12 }, "gzip", ".gz", "application/gzip" },
        { "zstd", { EGRESS_CODEC_ZSTD, 3 }, "zstd", ".zst", "application/zstd" },
        { "zstd:19", { EGRESS_CODEC_ZSTD, 19 }, "zstd", ".zst", "application/zstd" },
        { "none", { EGRESS_CODEC_NONE, 0 }, "none", "", "text/csv" },
    };
    static const char *const bad[] = { "",        "gzi",     "gzipp",  "GZIP",    "gzip:",
                                       "gzip:0",  "gzip:13", "gzip:x", "gzip:5 ", "zstd:20",
                                       "zstd:-1", "none:1",  "none:",  ":5",      "gzip:5:5" };
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < RC_ARRAY_LEN(good); i++) {
        struct egress_compression read;

        assert_int_equal(egress_compression_read(good[i].text, &read, &err), RC_OK);
        assert_int_equal(read.codec, good[i].compression.codec);
        assert_int_equal(read.level, good[i].compression.level);
        assert_string_equal(egress_compression_name(&read), good[i].name);
        assert_string_equal(egress_compression_extension(&read), good[i].extension);
        assert_string_equal(egress_content_type(&read), good[i].type);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++) {
        struct egress_compression read;
        RC_STR_AUTO quoted = rc_strf("'%s'", bad[i]);

        assert_int_equal(egress_compression_read(bad[i], &read, &err), RC_INVALID);
        assert_non_null(strstr(err.cause, quoted));
    }
    struct egress_compression unused;
    assert_int_equal(egress_compression_read("gzip:13", &unused, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "1 to 12"));
}

static void test_what_is_written_is_read_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 7, 4096, 1 << 20 };

    for (size_t i = 0; i < RC_ARRAY_LEN(compressions); i++) {
        for (int noise = 0; noise <= 1; noise++) {
            RC_BUF_AUTO(text, TEXT_LIMIT);
            RC_BUF_AUTO(stored, TEXT_LIMIT);

            compress_members(&compressions[i], noise, &text, &stored);
            assert_true(noise || compressions[i].codec == EGRESS_CODEC_NONE ||
                        stored.len < text.len);
            for (size_t give = 0; give < RC_ARRAY_LEN(sizes); give++)
                for (size_t take = 1; take < RC_ARRAY_LEN(sizes); take++)
                    assert_expands(compressions[i].codec, &stored, sizes[give], sizes[take], &text);
        }
    }
}

/* Runs PROGRAM with one option, from one file to another. */
static int run(const char *program, const char *option, const char *from, const char *to)
{
    char *const arguments[] = { (char *)program, (char *)option, NULL };
    char *const environment[] = { "PATH=/usr/bin:/bin", NULL };
    posix_spawn_file_actions_t files;
    pid_t pid;
    int status = -1;

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, from, O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, program, &files, NULL, arguments, environment) == 0)
        waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&files);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_file(const char *path, const struct rc_buf *content)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(content->data, 1, content->len, file), content->len);
    assert_int_equal(fclose(file), 0);
}

static void read_file(const char *path, struct rc_buf *out)
{
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    rc_buf_added(out, fread(rc_buf_reserve(out, TEXT_LIMIT), 1, TEXT_LIMIT, file));
    assert_int_equal(fclose(file), 0);
}

/* A folder for files, and their paths in it. */
struct files {
    char folder[64];
    char *a, *b;
};

static void files_make(struct files *files)
{
    snprintf(files->folder, sizeof(files->folder), "/tmp/egress-compress-XXXXXX");
    assert_non_null(mkdtemp(files->folder));
    files->a = rc_strf("%s/a", files->folder);
    files->b = rc_strf("%s/b", files->folder);
}

static void files_remove(struct files *files)
{
    unlink(files->a);
    unlink(files->b);
    rmdir(files->folder);
    free(files->a);
    free(files->b);
}

static void test_the_programs_read_what_is_written(void **state)
{
    (void)state;
    struct files files;
    int compared = 0;

    files_make(&files);
    for (size_t i = 0; i < RC_ARRAY_LEN(compressions); i++) {
        RC_BUF_AUTO(text, TEXT_LIMIT);
        RC_BUF_AUTO(stored, TEXT_LIMIT);
        RC_BUF_AUTO(read, TEXT_LIMIT);
        bool is_zstd = compressions[i].codec == EGRESS_CODEC_ZSTD;
        int status;

        if (compressions[i].codec == EGRESS_CODEC_NONE)
            continue;
        compress_members(&compressions[i], false, &text, &stored);
        write_file(files.a, &stored);
        status = run(is_zstd ? "zstd" : "gzip", "-dc", files.a, files.b);
        /* zstd is not on every machine; gzip is. */
        if (is_zstd && status == 127)
            continue;
        assert_int_equal(status, 0);
        read_file(files.b, &read);
        assert_int_equal(read.len, text.len);
        assert_memory_equal(read.data, text.data, text.len);
        compared++;
    }
    files_remove(&files);
    assert_true(compared >= 3);
}

static void test_what_the_programs_write_is_read(void **state)
{
    (void)state;
    struct files files;
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_BUF_AUTO(gzip, TEXT_LIMIT);
    RC_BUF_AUTO(zstd, TEXT_LIMIT);

    files_make(&files);
    add_text(&text, 3000000, false);
    write_file(files.a, &text);
    assert_int_equal(run("gzip", "-9c", files.a, files.b), 0);
    read_file(files.b, &gzip);
    assert_expands(EGRESS_CODEC_GZIP, &gzip, 100, 1000, &text);
    if (run("zstd", "-c", files.a, files.b) == 0) {
        read_file(files.b, &zstd);
        assert_expands(EGRESS_CODEC_ZSTD, &zstd, 100, 1000, &text);
    }
    files_remove(&files);
}

/* Rows with an id, a UUID, a word, a number, a point in time, a sentence and a flag. */
static void add_rows(struct rc_buf *out, size_t len)
{
    static const char *const words[] = { "account", "active",    "address", "capacity",
                                         "city",    "cluster",   "daily",   "deleted",
                                         "failed",  "host",      "invoice", "monthly",
                                         "node",    "openshift", "order",   "pending" };
    uint64_t random = 1, second = 1767225600;

    for (int id = 1; out->len < len; id++) {
        rc_buf_addf(out, "%d,", id);
        for (int i = 0; i < 2; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            rc_buf_addf(out, "%08x-%04x-", (unsigned)(random >> 32),
                        (unsigned)(random >> 16 & 0xffff));
        }
        second += random >> 62;
        rc_buf_addf(out, ",%s,%u.%02u,2026-01-%02u %02u:%02u:%02u+00,\"", words[random >> 60],
                    (unsigned)(random >> 50), (unsigned)(random >> 40) % 100,
                    (unsigned)(second / 86400 % 28 + 1), (unsigned)(second / 3600 % 24),
                    (unsigned)(second / 60 % 60), (unsigned)(second % 60));
        for (unsigned i = 0; i < 4 + (random >> 61); i++)
            rc_buf_addf(out, "%s ", words[random >> (8 + 4 * i) & 15]);
        rc_buf_addf(out, "\",%c\n", random >> 59 & 1 ? 't' : 'f');
    }
}

/* In blocks of a mebibyte, as the pipeline cuts them. */
static void test_the_default_makes_no_more_than_gzip_6(void **state)
{
    (void)state;
    enum { BLOCK = 1 << 20 };
    struct egress_compression compression;
    struct egress_compressor *compressor;
    struct files files;
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_BUF_AUTO(gzip, TEXT_LIMIT);
    RC_BUF_AUTO(room, TEXT_LIMIT);
    size_t stored = 0;

    add_rows(&text, 4 * BLOCK);
    files_make(&files);
    write_file(files.a, &text);
    assert_int_equal(run("gzip", "-6c", files.a, files.b), 0);
    read_file(files.b, &gzip);
    files_remove(&files);

    assert_int_equal(egress_compression_read("gzip", &compression, &err), RC_OK);
    compressor = egress_compressor_new(&compression);
    for (size_t at = 0, len; at < text.len; at += len) {
        size_t bound = egress_compressor_bound(compressor, BLOCK), made;

        len = text.len - at < BLOCK ? text.len - at : BLOCK;
        assert_int_equal(egress_compress(compressor, text.data + at, len,
                                         rc_buf_reserve(&room, bound), bound, &made, &err),
                         RC_OK);
        stored += made;
    }
    egress_compressor_free(compressor);
    assert_true(stored <= gzip.len);
    assert_true(stored > text.len / 10); /* the text is none that says nothing */
}

/* A table of no rows. */
static void test_nothing_is_a_file_too(void **state)
{
    (void)state;

    for (size_t i = 0; i < RC_ARRAY_LEN(compressions); i++) {
        struct egress_compressor *compressor = egress_compressor_new(&compressions[i]);
        RC_BUF_AUTO(stored, 4096);
        RC_BUF_AUTO(text, 1);
        size_t bound = egress_compressor_bound(compressor, 0), len;
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(egress_compress(compressor, NULL, 0, rc_buf_reserve(&stored, bound + 1),
                                         bound, &len, &err),
                         RC_OK);
        rc_buf_added(&stored, len);
        egress_compressor_free(compressor);
        assert_true((len == 0) == (compressions[i].codec == EGRESS_CODEC_NONE));
        assert_expands(compressions[i].codec, &stored, 100, 100, &text);
    }
}

/* Every prefix that does not end with a member; the end of a member is a file of fewer rows. */
static void test_what_is_cut_off_is_corrupt(void **state)
{
    (void)state;

    for (int codec = EGRESS_CODEC_GZIP; codec <= EGRESS_CODEC_ZSTD; codec++) {
        struct egress_compression compression = { (enum egress_codec)codec, 1 };
        struct egress_compressor *compressor = egress_compressor_new(&compression);
        struct rc_error err = RC_ERROR_INIT;
        char stored[8192];
        size_t first, both;

        assert_int_equal(
            egress_compress(compressor, "one\n", 4, stored, sizeof(stored), &first, &err), RC_OK);
        assert_int_equal(egress_compress(compressor, "two\n", 4, stored + first,
                                         sizeof(stored) - first, &both, &err),
                         RC_OK);
        both += first;
        egress_compressor_free(compressor);
        for (size_t len = 0; len <= both; len++) {
            RC_BUF_AUTO(out, 4096);
            bool whole = len == first || len == both;

            assert_int_equal(expand(compression.codec, stored, len, 3, 16, &out, &err),
                             whole ? RC_OK : RC_CORRUPT);
            assert_true(whole || strlen(err.cause) > 10);
        }
    }
}

static void test_what_is_damaged_or_goes_on_is_corrupt(void **state)
{
    (void)state;

    for (int codec = EGRESS_CODEC_GZIP; codec <= EGRESS_CODEC_ZSTD; codec++) {
        struct egress_compression compression = { (enum egress_codec)codec, 3 };
        struct rc_error err = RC_ERROR_INIT;
        RC_BUF_AUTO(text, TEXT_LIMIT);
        RC_BUF_AUTO(stored, TEXT_LIMIT);
        RC_BUF_AUTO(sink, TEXT_LIMIT);

        compress_members(&compression, false, &text, &stored);
        /* In the middle of the largest member, where every bit counts. */
        for (int bit = 0; bit < 8; bit++) {
            rc_buf_reset(&sink);
            stored.data[stored.len / 2] ^= (char)(1 << bit);
            assert_int_equal(
                expand(compression.codec, stored.data, stored.len, 1000, 5000, &sink, &err),
                RC_CORRUPT);
            stored.data[stored.len / 2] ^= (char)(1 << bit);
        }
        for (size_t rest = 1; rest < 20; rest++) {
            rc_buf_reset(&sink);
            rc_buf_truncate(&stored, stored.len - (rest > 1 ? rest - 1 : 0));
            for (size_t i = 0; i < rest; i++)
                rc_buf_addc(&stored, 'x');
            assert_int_equal(
                expand(compression.codec, stored.data, stored.len, 1000, 5000, &sink, &err),
                RC_CORRUPT);
        }
    }
}

/* libdeflate does not tell; zstd does, of a block as the pipeline has them. */
static void test_a_compressor_takes_no_more_than_is_said(void **state)
{
    (void)state;
    enum { BLOCK = 1 << 20 };
    RC_BUF_AUTO(text, TEXT_LIMIT);
    char *room = malloc(ZSTD_compressBound(BLOCK));

    add_text(&text, BLOCK, /* noise = */ true);
    for (int level = 1; level <= 19; level++) {
        const struct egress_compression compression = { EGRESS_CODEC_ZSTD, level };
        ZSTD_CCtx *zstd = ZSTD_createCCtx();

        assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level)));
        assert_false(
            ZSTD_isError(ZSTD_compress2(zstd, room, ZSTD_compressBound(BLOCK), text.data, BLOCK)));
        assert_true(ZSTD_sizeof_CCtx(zstd) <= egress_compressor_bytes(&compression));
        ZSTD_freeCCtx(zstd);
    }
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_is_written_is_read_in_pieces_of_any_size),
        cmocka_unit_test(test_the_programs_read_what_is_written),
        cmocka_unit_test(test_what_the_programs_write_is_read),
        cmocka_unit_test(test_the_default_makes_no_more_than_gzip_6),
        cmocka_unit_test(test_nothing_is_a_file_too),
        cmocka_unit_test(test_what_is_cut_off_is_corrupt),
        cmocka_unit_test(test_what_is_damaged_or_goes_on_is_corrupt),
        cmocka_unit_test(test_a_compressor_takes_no_more_than_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
