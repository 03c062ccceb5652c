/*
 * 'verify' on the fake host: what it finds in folders that are as their manifest says, and in those
 * that are not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <compress.h>
#include <egress.h>
#include <manifest.h>

#include <openssl/evp.h>
#include <stdlib.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define FOLDER "s3://b/2026-01-15/"
#define TEXT "1,a\n2,\"x\ny \"\"q\"\"\"\n"

static const struct rc_action actions[] = {
    { .name = "verify",
      .summary = "Verifies.",
      .params = egress_verify_options,
      .params_size = sizeof(struct egress_verify_params),
      .run = egress_verify },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD,         .name = "egress",          .version = "1",
    .summary = "Verifies.", .options = egress_options, .config_size = sizeof(struct egress_config),
    .actions = actions,
};

static const char *const settings[] = { "output=s3://b", NULL };

/* ---- folders ---- */

/* What is put up as one object, and what the manifest says of it. */
struct made {
    const char *key, *text;
    int64_t rows;
    int64_t bytes; /* 0: those of the text */
    const char *error;
};

struct folder {
    const char *compression;
    bool header;
    struct made objects[3];
};

static void compress(const char *name, const char *text, struct rc_buf *out)
{
    struct egress_compression compression;
    struct rc_error err;
    struct egress_compressor *compressor;
    size_t half = strlen(text) / 2, len;

    assert_int_equal(egress_compression_read(name, &compression, &err), RC_OK);
    compressor = egress_compressor_new(&compression);
    /* Two blocks: members that follow one another. */
    for (int i = 0; i < 2; i++) {
        const char *block = i == 0 ? text : text + half;
        size_t block_len = i == 0 ? half : strlen(text) - half;
        size_t bound = egress_compressor_bound(compressor, block_len);

        assert_int_equal(egress_compress(compressor, block, block_len, rc_buf_reserve(out, bound),
                                         bound, &len, &err),
                         RC_OK);
        rc_buf_added(out, len);
    }
    egress_compressor_free(compressor);
}

static char *digest_of(const struct rc_buf *data)
{
    unsigned char digest[32];
    char *text = rc_malloc(65);

    assert_int_equal(EVP_Digest(data->data, data->len, digest, NULL, EVP_sha256(), NULL), 1);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return text;
}

static void put_object(struct rc_fake_host *host, const char *compression, const struct made *made,
                       struct egress_manifest_table *table)
{
    RC_BUF_AUTO(data, 1 << 20);
    RC_STR_AUTO uri = rc_strf(FOLDER "%s", made->key);

    compress(compression, made->text, &data);
    rc_fake_host_put(host, uri, data.data, data.len);
    table->name = rc_strndup(made->key, strcspn(made->key, "."));
    table->error = rc_strdup(made->error);
    table->objects = rc_calloc(1, sizeof(*table->objects));
    table->object_count = 1;
    table->objects[0] = (struct egress_manifest_object){
        .key = rc_strdup(made->key),
        .rows = made->rows,
        .bytes = made->bytes ? made->bytes : (int64_t)strlen(made->text),
        .stored_bytes = (int64_t)data.len,
        .sha256 = digest_of(&data),
    };
}

static void put_folder(struct rc_fake_host *host, void *context)
{
    const struct folder *folder = context;
    struct egress_manifest manifest = { .complete = true,
                                        .format = rc_strdup("csv"),
                                        .compression = rc_strdup(folder->compression),
                                        .delimiter = rc_strdup(","),
                                        .header = folder->header };
    RC_BUF_AUTO(text, 1 << 20);
    struct rc_error err;

    manifest.tables = rc_calloc(RC_ARRAY_LEN(folder->objects), sizeof(*manifest.tables));
    for (size_t i = 0; i < RC_ARRAY_LEN(folder->objects) && folder->objects[i].key; i++) {
        put_object(host, folder->compression, &folder->objects[i], &manifest.tables[i]);
        manifest.complete &= folder->objects[i].error == NULL;
        manifest.table_count++;
    }
    assert_int_equal(egress_manifest_print(&manifest, &text, &err), RC_OK);
    rc_fake_host_put(host, FOLDER "_manifest.json", text.data, text.len);
    egress_manifest_clear(&manifest);
}

static const struct folder good = {
    .compression = "gzip",
    .objects = { { .key = "a.csv.gz", .text = TEXT, .rows = 2 },
                 { .key = "b/part-00000.csv.gz", .text = "", .rows = 0 },
                 { .key = "c.csv.gz", .text = "\n\n", .rows = 2 } },
};

static struct rc_fake_host *new_host(const struct folder *folder)
{
    struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct folder copy = *folder;

    put_folder(host, &copy);
    return host;
}

static void assert_says(const char *where, const char *words)
{
    if (!strstr(where, words))
        fail_msg("'%s' is not in '%s'", words, where);
}

/* ---- what is as it should be ---- */

static void test_a_good_folder_is_verified(void **state)
{
    (void)state;
    static const char *const compressions[] = { "gzip:1", "zstd", "none" };

    for (size_t i = 0; i < RC_ARRAY_LEN(compressions); i++) {
        struct folder folder = good;
        struct rc_error err = RC_ERROR_INIT;

        folder.compression = compressions[i];
        HOST_AUTO host = new_host(&folder);
        assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_OK);
        assert_says(rc_fake_host_said(host), "Verified: 3 objects, 4 rows, 20 B, ");
        assert_says(rc_fake_host_shown(host), "a\t1\t2\t18 B\t");
        assert_int_equal(rc_fake_host_counter(host, "rows"), 4);
        assert_int_equal(rc_fake_host_counter(host, "damaged"), 0);
        assert_string_equal(rc_fake_host_log(host), "");
        int64_t done, total;
        rc_fake_host_progress(host, &done, &total);
        assert_int_equal(done, total);
        assert_int_equal(done, rc_fake_host_counter(host, "stored_bytes"));
    }
}

static void test_headers_are_no_rows(void **state)
{
    (void)state;
    static const struct folder folder = {
        .compression = "gzip",
        .header = true,
        .objects = { { .key = "a.csv.gz", .text = "\"i\nd\",b\n1,a\n", .rows = 1 } },
    };
    static const struct folder without = {
        .compression = "gzip",
        .header = true,
        .objects = { { .key = "a.csv.gz", .text = "", .rows = 0 } },
    };
    struct rc_error err = RC_ERROR_INIT;
    HOST_AUTO host = new_host(&folder);
    HOST_AUTO other = new_host(&without);

    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_OK);
    assert_says(rc_fake_host_said(host), "Verified: 1 object, 1 row, ");
    assert_int_equal(rc_fake_host_run(other, &plugin, NULL, settings, &err), RC_CORRUPT);
    assert_says(rc_fake_host_said(other), "'a.csv.gz' has no line with the names of the columns");
}

static void test_folder_and_date_say_where(void **state)
{
    (void)state;
    static const char *const by_folder[] = { "folder=s3://b/2026-01-15", NULL };
    static const char *const by_date[] = { "output=s3://b/", "date=2026-01-15", NULL };
    static const char *const other_date[] = { "output=s3://b/", "date=2026-01-14", NULL };
    static const char *const nothing[] = { NULL };
    struct rc_error err = RC_ERROR_INIT;
    HOST_AUTO host = new_host(&good);

    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, by_folder, &err), RC_OK);
    rc_fake_host_job(host)->slot_unix_ms += 10 * RC_DAY_MS;
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, by_date, &err), RC_OK);
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, other_date, &err), RC_NOT_FOUND);
    assert_says(err.cause, "'s3://b/2026-01-14/' has no manifest");
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, nothing, &err), RC_INVALID);
}

static void test_a_side_of_the_sync_is_a_place(void **state)
{
    (void)state;
    static const char *const dated[] = { "target=s3://b", "at=target", NULL };
    static const char *const named[] = { "source=s3://b", "at=source", "folder=2026-01-15", NULL };
    static const char *const nothing[] = { "output=s3://b", "at=source", NULL };
    struct rc_error err = RC_ERROR_INIT;
    HOST_AUTO host = new_host(&good);

    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, dated, &err), RC_OK);
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, named, &err), RC_OK);
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, nothing, &err), RC_INVALID);
    assert_says(err.cause, "INPUT_URL");
}

/* ---- what is not ---- */

#define URI FOLDER "a.csv.gz"

static void test_each_damage_is_named(void **state)
{
    (void)state;
    static const char garbage[] = "{\"version\": 1";
    struct rc_error err = RC_ERROR_INIT;
    size_t len;

    { /* a byte of the data */
        HOST_AUTO host = new_host(&good);
        RC_BUF_AUTO(data, 1 << 20);
        const char *object = rc_fake_host_object(host, URI, &len);

        rc_buf_add(&data, object, len);
        data.data[len - 6] ^= 1;
        rc_fake_host_put(host, URI, data.data, data.len);
        assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_CORRUPT);
        assert_says(rc_fake_host_said(host), "'a.csv.gz' has the SHA-256 ");
        assert_says(rc_fake_host_said(host), "'a.csv.gz' cannot be expanded: ");
        assert_says(rc_fake_host_shown(host), "1 damaged");
        assert_says(err.cause, "of the 3 objects in '" FOLDER "', 1 is not as the manifest says");
    }
    { /* the end */
        HOST_AUTO host = new_host(&good);
        RC_STR_AUTO data = rc_strndup("", 0);
        const char *object = rc_fake_host_object(host, URI, &len);

        data = rc_realloc(data, len);
        memcpy(data, object, len);
        rc_fake_host_put(host, URI, data, len - 1);
        assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_CORRUPT);
        assert_says(rc_fake_host_said(host), "'a.csv.gz' is stored with ");
    }
    { /* an object that is gone since it was listed, or earlier */
        HOST_AUTO host = new_host(&good);

        rc_fake_host_fail_on(host, "storage.open", URI, 1, RC_NOT_FOUND);
        assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_CORRUPT);
        assert_string_equal(rc_fake_host_said(host), "'a.csv.gz' is not there\n");
    }
    { /* the manifest itself */
        HOST_AUTO host = new_host(&good);

        rc_fake_host_put(host, FOLDER "_manifest.json", garbage, strlen(garbage));
        assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_CORRUPT);
        assert_says(err.context, "read the manifest '" FOLDER "_manifest.json'");
    }
}

static void test_figures_that_differ_are_named(void **state)
{
    (void)state;
    static const struct folder folder = {
        .compression = "gzip",
        .objects = { { .key = "a.csv.gz", .text = "1\n2\n", .rows = 3 },
                     { .key = "b.csv.gz", .text = "1\n2\n", .rows = 2, .bytes = 5 },
                     { .key = "c.csv.gz", .text = "1\n\"2", .rows = 1 } },
    };
    struct rc_error err = RC_ERROR_INIT;
    HOST_AUTO host = new_host(&folder);

    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_CORRUPT);
    assert_string_equal(rc_fake_host_said(host),
                        "'a.csv.gz' has 2 rows, the manifest says 3\n"
                        "'b.csv.gz' expands to 4 bytes, the manifest says 5\n"
                        "'c.csv.gz' ends within a line\n");
    assert_int_equal(rc_fake_host_counter(host, "damaged"), 3);
}

static void test_without_depth_only_what_is_stored_counts(void **state)
{
    (void)state;
    static const struct folder folder = {
        .compression = "gzip",
        .objects = { { .key = "a.csv.gz", .text = "1\n2\n", .rows = 3 } },
    };
    static const char *const shallow[] = { "output=s3://b", "deep=false", NULL };
    struct rc_error err = RC_ERROR_INIT;
    HOST_AUTO host = new_host(&folder);

    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, shallow, &err), RC_OK);
    assert_says(rc_fake_host_said(host), "Verified: 1 object, ");
    assert_says(rc_fake_host_said(host), "rows were not counted");
}

static void test_what_is_not_listed_is_named(void **state)
{
    (void)state;
    struct rc_error err = RC_ERROR_INIT;
    HOST_AUTO host = new_host(&good);

    for (int i = 0; i < 25; i++) {
        RC_STR_AUTO uri = rc_strf(FOLDER "b/part-%05d.csv.gz", i);

        if (i > 0)
            rc_fake_host_put(host, uri, "x", 1);
    }
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_OK);
    assert_says(rc_fake_host_log(host),
                "'" FOLDER "b/part-00001.csv.gz' is in the folder, but not");
    assert_says(rc_fake_host_log(host), "4 more objects");
    assert_int_equal(rc_fake_host_counter(host, "unlisted"), 24);

    HOST_AUTO fewer = new_host(&good);
    for (int i = 1; i < 22; i++) {
        RC_STR_AUTO uri = rc_strf(FOLDER "b/part-%05d.csv.gz", i);

        rc_fake_host_put(fewer, uri, "x", 1);
    }
    assert_int_equal(rc_fake_host_run(fewer, &plugin, NULL, settings, &err), RC_OK);
    assert_says(rc_fake_host_log(fewer), "1 more object in the folder is not in its manifest");
}

static void test_an_incomplete_dump_fails(void **state)
{
    (void)state;
    static const struct folder folder = {
        .compression = "gzip",
        .objects = { { .key = "a.csv.gz", .text = TEXT, .rows = 2 },
                     { .key = "b.csv.gz", .text = "", .rows = 0, .error = "it is locked" } },
    };
    struct rc_error err = RC_ERROR_INIT;
    HOST_AUTO host = new_host(&folder);

    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_FAILED);
    assert_says(rc_fake_host_said(host), "Table 'b' failed when it was dumped: it is locked");
    assert_says(err.cause, "1 of 2 tables failed, the first of them 'b'");
}

static void test_a_dump_meanwhile_is_no_damage(void **state)
{
    (void)state;
    struct rc_error err = RC_ERROR_INIT;
    HOST_AUTO host = new_host(&good);

    /* The tag that is looked at first is another one than that afterwards. */
    rc_fake_host_fail_on(host, "storage.stat", "_manifest.json", 1, RC_NOT_FOUND);
    rc_fake_host_put(host, URI, "other", 5);
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_CONFLICT);
    assert_says(err.cause, "another run dumps into the folder");
}

static void test_every_host_call_may_fail(void **state)
{
    (void)state;
    struct folder folder = good;
    struct rc_error err = RC_ERROR_INIT;
    int calls = 0;

    if (rc_fake_host_torture(&plugin, NULL, settings, put_folder, &folder, &calls, &err))
        fail_msg("%s: %s", err.context, err.cause);
    assert_true(calls > 15);
}

static void test_several_are_read_at_once(void **state)
{
    (void)state;
    struct rc_error err = RC_ERROR_INIT;
    HOST_AUTO host = new_host(&good);

    rc_fake_host_set_threads(host, true);
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, settings, &err), RC_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_folder_is_verified),
        cmocka_unit_test(test_headers_are_no_rows),
        cmocka_unit_test(test_folder_and_date_say_where),
        cmocka_unit_test(test_a_side_of_the_sync_is_a_place),
        cmocka_unit_test(test_each_damage_is_named),
        cmocka_unit_test(test_figures_that_differ_are_named),
        cmocka_unit_test(test_without_depth_only_what_is_stored_counts),
        cmocka_unit_test(test_what_is_not_listed_is_named),
        cmocka_unit_test(test_an_incomplete_dump_fails),
        cmocka_unit_test(test_a_dump_meanwhile_is_no_damage),
        cmocka_unit_test(test_every_host_call_may_fail),
        cmocka_unit_test(test_several_are_read_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
