/*
 * The mover 'direct' on the host of the tests: what it takes and what it leaves, and that nothing
 * is lost, whatever fails, whoever interferes and whenever it is killed. Real stores are for
 * system/test_sdrs_direct.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <mover/manifest.h>
#include <mover/mover.h>
#include <state/rules.h>

#include <stdlib.h>

#define BUCKET "s3://events/"
#define SHADOW "s3://eventsshadow/"
#define OLD "d/2019/02/08/03/"

enum { TEXT_LIMIT = 4 << 20, MANY = 2500 };

/* ---- a job ----------------------------------------------------------------------------------- */

struct world {
    struct rc_fake_host *host;
    struct sdrs_config config;
    struct sdrs_state state;
    struct sdrs_template template;
    struct sdrs_prefixes includes, excludes, datasets;
    struct sdrs_record record;
    struct sdrs_move move;
};

static void must(enum rc_code code, const struct rc_error *err)
{
    if (code)
        fail_msg("%s: %s", err->context, err->cause);
}

static void put(struct rc_fake_host *host, const char *key, const char *text)
{
    RC_STR_AUTO uri = rc_strf(BUCKET "%s", key);

    rc_fake_host_put(host, uri, text, strlen(text));
}

static const char *content(struct rc_fake_host *host, const char *bucket, const char *key)
{
    RC_STR_AUTO uri = rc_strf("%s%s", bucket, key);

    return rc_fake_host_object(host, uri, NULL);
}

/* A rule of the dataset "d" with a limit of 2019-02-08T04:00Z. */
static void world_init(struct world *w)
{
    struct rc_error err = RC_ERROR_INIT;

    *w = (struct world){ .host = rc_fake_host_new(NULL) };
    w->config = (struct sdrs_config){ .path_template = "{yyyy}/{mm}/{dd}/{hh}" };
    must(sdrs_template_parse(w->config.path_template, &w->template, &err), &err);
    sdrs_prefixes_add(&w->includes, OLD);
    sdrs_prefixes_add(&w->includes, "d/2019/02/07/");
    sdrs_prefixes_add(&w->includes, "d/2018/");
    sdrs_prefixes_merge(&w->includes);
    sdrs_prefixes_add(&w->datasets, "d/");
    rc_fake_host_bucket(w->host, BUCKET)->exists = RC_ANSWER_YES;
    rc_fake_host_bucket(w->host, SHADOW)->exists = RC_ANSWER_YES;
    w->record = (struct sdrs_record){
        .batch = rc_strdup("batch"),
        .type = rc_strdup("DATASET"),
        .bucket = rc_strdup(BUCKET),
        .shadow = rc_strdup(SHADOW),
        .mover = SDRS_MOVER_DIRECT,
        .id = 1,
        .created_unix_ms = INT64_C(4000000000000),
    };
    w->move = (struct sdrs_move){
        .state = &w->state,
        .config = &w->config,
        .template = &w->template,
        .limit_unix_ms = INT64_C(1549598400000),
        .includes = &w->includes,
        .excludes = &w->excludes,
        .datasets = &w->datasets,
        .record = &w->record,
    };
}

static void world_clear(struct world *w)
{
    sdrs_state_close(&w->state);
    sdrs_record_clear(&w->record);
    sdrs_prefixes_clear(&w->includes);
    sdrs_prefixes_clear(&w->excludes);
    sdrs_prefixes_clear(&w->datasets);
    rc_fake_host_free(w->host);
}

#define WORLD_AUTO(name)                                                                           \
    RC_CLEANUP(world_clear) struct world name;                                                     \
    world_init(&name)

static enum rc_code move(struct world *w, struct rc_error *err)
{
    *err = (struct rc_error)RC_ERROR_INIT;
    free(w->record.message);
    w->record.message = NULL;
    w->record.status = SDRS_JOB_RUNNING;
    w->record.objects = w->record.bytes = w->record.failed = 0;
    return sdrs_move_direct(rc_fake_host_job(w->host), &w->move, err);
}

static void expect(struct world *w, enum sdrs_job_status status, int64_t objects, int64_t failed)
{
    struct rc_error err;

    must(move(w, &err), &err);
    if (w->record.status != status)
        fail_msg("%s: %s", sdrs_job_status_name(w->record.status), w->record.message);
    assert_int_equal(w->record.objects, objects);
    assert_int_equal(w->record.failed, failed);
    assert_int_equal(rc_fake_host_open_handles(w->host), 0);
}

static void assert_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("'%s' does not have '%s'", text, part);
}

/* Keys that the manifests in the shadow list, a line each. */
static void listed(struct world *w, struct rc_buf *out)
{
    struct sdrs_manifest_reader *reader = NULL;
    const struct sdrs_manifest_query query = { .batch = NULL };
    struct rc_error err = RC_ERROR_INIT;
    const char *key;
    int64_t size_bytes;

    must(sdrs_manifest_open(rc_fake_host_job(w->host), SHADOW, &query, &reader, &err), &err);
    for (;;) {
        must(sdrs_manifest_next(reader, &key, &size_bytes, &err), &err);
        if (!key)
            break;
        rc_buf_addf(out, "%s\n", key);
    }
    sdrs_manifest_close(reader);
}

/* ---- what is moved --------------------------------------------------------------------------- */

static const char *const goes[] = {
    "d/2018/12/31/23/y",
    "d/2019/02/07/00/deep/er/x",
    OLD "a",
    OLD "b \xc3\xa4",
};
static const char *const stays[] = {
    "d/2018/12/31/readme",          "d/2018/notes.txt", "d/2019/02/08/04/young",
    "d/2018/02/30/00/no-such-hour", "d2/2018/01/01/00", "other",
};

static void put_tree(struct rc_fake_host *host)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(goes); i++)
        put(host, goes[i], goes[i]);
    for (size_t i = 0; i < RC_ARRAY_LEN(stays); i++)
        put(host, stays[i], stays[i]);
}

static void test_moves_what_is_wanted(void **state)
{
    (void)state;
    WORLD_AUTO(w);
    RC_BUF_AUTO(have, TEXT_LIMIT);
    RC_BUF_AUTO(want, TEXT_LIMIT);

    put_tree(w.host);
    expect(&w, SDRS_JOB_SUCCESS, RC_ARRAY_LEN(goes), 0);
    for (size_t i = 0; i < RC_ARRAY_LEN(goes); i++) {
        assert_null(content(w.host, BUCKET, goes[i]));
        assert_string_equal(content(w.host, SHADOW, goes[i]), goes[i]);
        rc_buf_addf(&want, "%s\n", goes[i]);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(stays); i++) {
        assert_string_equal(content(w.host, BUCKET, stays[i]), stays[i]);
        assert_null(content(w.host, SHADOW, stays[i]));
    }
    listed(&w, &have);
    assert_string_equal(have.data, want.data);
    assert_null(w.record.message);
    /* And nothing is left to do. */
    expect(&w, SDRS_JOB_SUCCESS, 0, 0);
}

static void test_excludes_and_times(void **state)
{
    (void)state;
    WORLD_AUTO(w);
    struct rc_job *job = rc_fake_host_job(w.host);

    put(w.host, "held/x", "x");
    put(w.host, "old", "x");
    job->now_unix_ms += RC_DAY_MS;
    w.record.modified_before_unix_ms = job->now_unix_ms;
    put(w.host, "young", "x");
    sdrs_prefixes_clear(&w.includes);
    sdrs_prefixes_add(&w.includes, "");
    sdrs_prefixes_add(&w.excludes, "held/");
    w.move.template = NULL;
    expect(&w, SDRS_JOB_SUCCESS, 1, 0);
    assert_non_null(content(w.host, SHADOW, "old"));
    assert_non_null(content(w.host, BUCKET, "young"));
    assert_non_null(content(w.host, BUCKET, "held/x"));
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    WORLD_AUTO(w);

    expect(&w, SDRS_JOB_SUCCESS, 0, 0);
    assert_string_equal(rc_fake_host_objects(w.host, ""), "");
}

/* A long prefix that is excluded is not read to its end; what follows it is. */
static void test_excluded_prefixes_are_passed(void **state)
{
    (void)state;
    WORLD_AUTO(w);
    int calls;

    put(w.host, "a", "x");
    put(w.host, "data0", "x");
    for (int i = 0; i < MANY + MANY / 4; i++) {
        RC_STR_AUTO key = rc_strf("data/%05d", i);

        put(w.host, key, "x");
    }
    sdrs_prefixes_clear(&w.includes);
    sdrs_prefixes_add(&w.includes, "");
    sdrs_prefixes_add(&w.excludes, "data/");
    w.move.template = NULL;
    calls = rc_fake_host_calls(w.host);
    expect(&w, SDRS_JOB_SUCCESS, 2, 0);
    assert_true(rc_fake_host_calls(w.host) - calls < MANY);
}

/* Keys that are no text sort behind where the listing goes on; it has to come to its end. */
static void test_excluded_keys_that_are_no_text(void **state)
{
    (void)state;
    WORLD_AUTO(w);

    put(w.host, "e", "x");
    for (int i = 0; i < MANY; i++) {
        RC_STR_AUTO key = rc_strf("data/\xff%05d", i);

        put(w.host, key, "x");
    }
    sdrs_prefixes_clear(&w.includes);
    sdrs_prefixes_add(&w.includes, "");
    sdrs_prefixes_add(&w.excludes, "data/");
    w.move.template = NULL;
    expect(&w, SDRS_JOB_SUCCESS, 1, 0);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void test_buckets_have_to_be_there(void **state)
{
    (void)state;
    WORLD_AUTO(w);

    put_tree(w.host);
    rc_fake_host_bucket(w.host, SHADOW)->exists = RC_ANSWER_NO;
    expect(&w, SDRS_JOB_ERROR, 0, 0);
    assert_has(w.record.message, "the bucket '" SHADOW "' does not exist: a shadow bucket has to "
                                 "be made before");
    assert_string_equal(rc_fake_host_objects(w.host, SHADOW), "");
    rc_fake_host_bucket(w.host, SHADOW)->exists = RC_ANSWER_YES;
    rc_fake_host_bucket(w.host, BUCKET)->exists = RC_ANSWER_NO;
    expect(&w, SDRS_JOB_ERROR, 0, 0);
    assert_has(w.record.message, "the bucket '" BUCKET "' does not exist");
    /* Who may not ask whether it is there may still write. */
    rc_fake_host_bucket(w.host, BUCKET)->exists = RC_ANSWER_UNKNOWN;
    rc_fake_host_bucket(w.host, SHADOW)->exists = RC_ANSWER_UNKNOWN;
    expect(&w, SDRS_JOB_SUCCESS, RC_ARRAY_LEN(goes), 0);
    free(w.record.shadow);
    w.record.shadow = rc_strdup(BUCKET);
    expect(&w, SDRS_JOB_ERROR, 0, 0);
    assert_has(w.record.message, "its own shadow");
}

/* ---- others ---------------------------------------------------------------------------------- */

/* As the manifest is written, everything has been listed. */
static void interfere(void *context, struct rc_fake_host *host, int n, const char *service,
                      const char *subject)
{
    const char *const *key = context;

    (void)n;
    if (strcmp(service, "storage.put") == 0 && strstr(subject, SDRS_MANIFESTS))
        put(host, *key, "new");
}

static void test_replaced_meanwhile(void **state)
{
    (void)state;
    WORLD_AUTO(w);
    const char *key = OLD "a";

    put_tree(w.host);
    rc_fake_host_on_call(w.host, interfere, &key);
    expect(&w, SDRS_JOB_ERROR, RC_ARRAY_LEN(goes) - 1, 1);
    assert_has(w.record.message, "1 object stayed where it was, the first: move '" BUCKET OLD "a'");
    assert_string_equal(content(w.host, BUCKET, key), "new");
    assert_null(content(w.host, SHADOW, key));
    rc_fake_host_on_call(w.host, NULL, NULL);
    expect(&w, SDRS_JOB_SUCCESS, 1, 0);
    assert_string_equal(content(w.host, SHADOW, key), "new");
}

static void test_added_meanwhile(void **state)
{
    (void)state;
    WORLD_AUTO(w);
    const char *key = OLD "late";

    put_tree(w.host);
    rc_fake_host_on_call(w.host, interfere, &key);
    expect(&w, SDRS_JOB_SUCCESS, RC_ARRAY_LEN(goes), 0);
    assert_string_equal(content(w.host, BUCKET, key), "new");
    rc_fake_host_on_call(w.host, NULL, NULL);
    expect(&w, SDRS_JOB_SUCCESS, 1, 0);
}

static void take_away(void *context, struct rc_fake_host *host, int n, const char *service,
                      const char *subject)
{
    (void)context;
    (void)n;
    if (strcmp(service, "storage.put") == 0 && strstr(subject, SDRS_MANIFESTS))
        rc_fake_host_remove(host, BUCKET OLD "a");
}

static void test_removed_meanwhile(void **state)
{
    (void)state;
    WORLD_AUTO(w);

    put_tree(w.host);
    rc_fake_host_on_call(w.host, take_away, NULL);
    expect(&w, SDRS_JOB_SUCCESS, RC_ARRAY_LEN(goes) - 1, 0);
}

/* ---- the shadow has one already -------------------------------------------------------------- */

static void test_collisions(void **state)
{
    (void)state;
    WORLD_AUTO(w);

    put(w.host, OLD "same", "same");
    put(w.host, OLD "other", "this");
    put(w.host, OLD "longer", "12345");
    put(w.host, OLD "free", "free");
    rc_fake_host_put(w.host, SHADOW OLD "same", "same", 4);
    rc_fake_host_put(w.host, SHADOW OLD "other", "that", 4);
    rc_fake_host_put(w.host, SHADOW OLD "longer", "123456", 6);
    w.config.collision = SDRS_COLLISION_KEEP;
    expect(&w, SDRS_JOB_ERROR, 2, 2);
    assert_has(w.record.message, "2 objects stayed where they were");
    assert_has(w.record.message, "another object is at '" SHADOW OLD);
    assert_null(content(w.host, BUCKET, OLD "same"));
    assert_null(content(w.host, BUCKET, OLD "free"));
    assert_string_equal(content(w.host, BUCKET, OLD "other"), "this");
    assert_string_equal(content(w.host, SHADOW, OLD "other"), "that");
    assert_string_equal(content(w.host, SHADOW, OLD "longer"), "123456");
    w.config.collision = SDRS_COLLISION_OVERWRITE;
    expect(&w, SDRS_JOB_SUCCESS, 2, 0);
    assert_string_equal(content(w.host, SHADOW, OLD "other"), "this");
    assert_string_equal(content(w.host, SHADOW, OLD "longer"), "12345");
}

/* More of them than are looked at at once, and larger than what is compared at once. */
static void test_many_collisions(void **state)
{
    RC_STR_AUTO large = rc_malloc(200001);

    (void)state;
    WORLD_AUTO(w);
    memset(large, 'x', 200000);
    large[200000] = '\0';
    put(w.host, OLD "large", large);
    rc_fake_host_put(w.host, SHADOW OLD "large", large, 200000);
    for (int i = 0; i < MANY; i++) {
        RC_STR_AUTO key = rc_strf(OLD "%05d", i);
        RC_STR_AUTO uri = rc_strf(SHADOW "%s", key);

        put(w.host, key, "same");
        rc_fake_host_put(w.host, uri, i % 10 == 0 ? "else" : "same", 4);
    }
    rc_fake_host_set_threads(w.host, true);
    w.config.collision = SDRS_COLLISION_KEEP;
    expect(&w, SDRS_JOB_ERROR, MANY - MANY / 10 + 1, MANY / 10);
    assert_null(content(w.host, BUCKET, OLD "large"));
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_single_failures(void **state)
{
    (void)state;
    WORLD_AUTO(w);

    put_tree(w.host);
    rc_fake_host_fail_on(w.host, "transfer.copy", OLD "a", 1, RC_DENIED);
    expect(&w, SDRS_JOB_ERROR, RC_ARRAY_LEN(goes) - 1, 1);
    assert_non_null(content(w.host, BUCKET, OLD "a"));
    assert_has(rc_fake_host_log(w.host), "'" BUCKET OLD "a' stays: ");
    expect(&w, SDRS_JOB_SUCCESS, 1, 0);
}

/* A store that takes nothing any more, as a full one, is not asked for each of a million; that
   others replace some of them meanwhile does not make it better. */
static void test_a_full_shadow(void **state)
{
    (void)state;
    WORLD_AUTO(w);

    for (int i = 0; i < MANY; i++) {
        RC_STR_AUTO key = rc_strf(OLD "%05d", i);

        put(w.host, key, "x");
    }
    rc_fake_host_fail_on(w.host, "transfer.copy", OLD "00050", 1, RC_CONFLICT);
    rc_fake_host_fail_on(w.host, "transfer.copy", OLD "00150", 1, RC_CONFLICT);
    rc_fake_host_fail_on(w.host, "transfer.copy", NULL, -1, RC_UNAVAILABLE);
    expect(&w, SDRS_JOB_ERROR, 0, 202);
    assert_has(w.record.message, "gave up after 200 failures in a row");
    assert_has(rc_fake_host_log(w.host), "more objects of '" BUCKET "' stay");
    rc_fake_host_revive(w.host);
    expect(&w, SDRS_JOB_SUCCESS, MANY, 0);
}

/* ---- nothing is lost ------------------------------------------------------------------------- */

/* Each object is where it was or in the shadow, as it was; those there are all in a manifest. */
static void judge(struct world *w)
{
    RC_BUF_AUTO(manifests, TEXT_LIMIT);

    rc_fake_host_fail_at(w->host, 0, RC_OK);
    rc_buf_adds(&manifests, "\n");
    listed(w, &manifests);
    for (size_t i = 0; i < RC_ARRAY_LEN(goes); i++) {
        const char *here = content(w->host, BUCKET, goes[i]);
        const char *there = content(w->host, SHADOW, goes[i]);
        RC_STR_AUTO line = rc_strf("\n%s\n", goes[i]);

        assert_true(here || there);
        assert_string_equal(here ? here : there, goes[i]);
        if (there)
            assert_has(manifests.data, line);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(stays); i++)
        assert_string_equal(content(w->host, BUCKET, stays[i]), stays[i]);
}

static void test_killed_anywhere(void **state)
{
    bool is_over = false;

    (void)state;
    for (int n = 1; !is_over; n++)
        for (int after = 0; after < 2; after++) {
            WORLD_AUTO(w);
            struct rc_error err;

            put_tree(w.host);
            rc_fake_host_die_at(w.host, n, after == 1);
            (void)move(&w, &err);
            is_over = !rc_fake_host_is_dead(w.host);
            rc_fake_host_revive(w.host);
            judge(&w);
            w.record.id++;
            must(move(&w, &err), &err);
            assert_int_equal(w.record.status, SDRS_JOB_SUCCESS);
            judge(&w);
            for (size_t i = 0; i < RC_ARRAY_LEN(goes); i++)
                assert_null(content(w.host, BUCKET, goes[i]));
            assert_true(!is_over || n > 5);
        }
}

static void test_each_call_may_fail(void **state)
{
    static const enum rc_code codes[] = { RC_DENIED, RC_UNAVAILABLE, RC_NOT_FOUND };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++)
        for (int n = 1;; n++) {
            WORLD_AUTO(w);
            struct rc_error err;

            put_tree(w.host);
            rc_fake_host_fail_at(w.host, n, codes[i]);
            must(move(&w, &err), &err);
            assert_int_equal(rc_fake_host_open_handles(w.host), 0);
            judge(&w);
            if (w.record.status == SDRS_JOB_SUCCESS) {
                assert_true(n > 5);
                break;
            }
            assert_int_equal(w.record.status, SDRS_JOB_ERROR);
            assert_non_null(w.record.message);
        }
}

static void test_cancelled_anywhere(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        WORLD_AUTO(w);
        struct rc_error err;
        enum rc_code code;

        put_tree(w.host);
        rc_fake_host_cancel_at(w.host, n);
        code = move(&w, &err);
        assert_int_equal(rc_fake_host_open_handles(w.host), 0);
        if (!code) {
            assert_int_equal(w.record.status, SDRS_JOB_SUCCESS);
            assert_true(n > 5);
            break;
        }
        assert_int_equal(code, RC_CANCELLED);
        rc_fake_host_cancel_at(w.host, 0);
        rc_fake_host_revive(w.host);
        judge(&w);
    }
}

/* ---- afterwards ------------------------------------------------------------------------------ */

/* A rule, and a job of it that its process has left as running. */
static void begin_in_state(struct world *w)
{
    struct sdrs_rule rule = {
        .type = SDRS_DATASET,
        .project = rc_strdup("p"),
        .storage = rc_strdup("s3://events/d"),
        .dataset = rc_strdup("d"),
        .period = 30,
        .unit = SDRS_DAY,
        .user = rc_strdup("u"),
    };
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(prefixes, TEXT_LIMIT);

    must(sdrs_state_open(rc_fake_host_job(w->host), &w->state, &err), &err);
    must(sdrs_rules_create(&w->state, &rule, &err), &err);
    sdrs_prefixes_write(&w->includes, &prefixes);
    w->record.rule = rule.id;
    w->record.rule_version = rule.version;
    w->record.prefixes = rc_buf_take(&prefixes);
    sdrs_rule_clear(&rule);
}

static void validate(struct world *w)
{
    struct rc_error err = RC_ERROR_INIT;

    w->record.status = SDRS_JOB_RUNNING;
    w->record.objects = w->record.bytes = w->record.failed = 0;
    free(w->record.message);
    w->record.message = NULL;
    must(sdrs_validate_direct(rc_fake_host_job(w->host), &w->config, &w->state, &w->record, &err),
         &err);
    assert_int_equal(rc_fake_host_open_handles(w->host), 1); /* the state */
}

static void test_validate(void **state)
{
    (void)state;
    WORLD_AUTO(w);
    struct rc_error err;

    begin_in_state(&w);
    put_tree(w.host);
    must(move(&w, &err), &err);
    validate(&w);
    assert_int_equal(w.record.status, SDRS_JOB_SUCCESS);
    assert_int_equal(w.record.objects, RC_ARRAY_LEN(goes));
    assert_int_equal(w.record.bytes,
                     strlen(goes[0]) + strlen(goes[1]) + strlen(goes[2]) + strlen(goes[3]));
    assert_int_equal(w.record.failed, 0);

    /* What came back is not what it moved; what has come since is of the next run. */
    rc_fake_host_put(w.host, BUCKET OLD "a", OLD "a", strlen(OLD "a"));
    rc_fake_host_put(w.host, BUCKET OLD "zz", "zz", 2);
    validate(&w);
    assert_int_equal(w.record.status, SDRS_JOB_ERROR);
    assert_int_equal(w.record.objects, RC_ARRAY_LEN(goes) - 1);
    assert_int_equal(w.record.failed, 2);
    assert_has(w.record.message, "2 are still in '" BUCKET "'");
    w.record.created_unix_ms = 1;
    validate(&w);
    assert_int_equal(w.record.status, SDRS_JOB_SUCCESS);
    assert_int_equal(w.record.objects, RC_ARRAY_LEN(goes));
}

/* Before it had moved anything, or written a manifest. */
static void test_validate_nothing_done(void **state)
{
    (void)state;
    WORLD_AUTO(w);

    begin_in_state(&w);
    put_tree(w.host);
    validate(&w);
    assert_int_equal(w.record.status, SDRS_JOB_ERROR);
    assert_int_equal(w.record.objects, 0);
    assert_int_equal(w.record.failed, RC_ARRAY_LEN(goes));
}

static void test_validate_failures(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        WORLD_AUTO(w);
        struct rc_error err;

        begin_in_state(&w);
        put_tree(w.host);
        must(move(&w, &err), &err);
        rc_fake_host_fail_at(w.host, n, RC_DENIED);
        validate(&w);
        judge(&w);
        if (w.record.status == SDRS_JOB_SUCCESS) {
            assert_true(n > 5);
            break;
        }
        assert_non_null(w.record.message);
    }
}

/* It says nothing about the job, whichever call it is. */
static void test_validate_while_the_store_is_away(void **state)
{
    (void)state;
    enum rc_code code = RC_UNAVAILABLE;

    for (int n = 1; code; n++) {
        WORLD_AUTO(w);
        struct rc_error err = RC_ERROR_INIT;

        begin_in_state(&w);
        put_tree(w.host);
        must(move(&w, &err), &err);
        w.record.status = SDRS_JOB_RUNNING;
        rc_fake_host_fail_at(w.host, n, RC_UNAVAILABLE);
        code = sdrs_validate_direct(rc_fake_host_job(w.host), &w.config, &w.state, &w.record, &err);
        assert_int_equal(code, code ? RC_UNAVAILABLE : RC_OK);
        assert_int_equal(w.record.status, code ? SDRS_JOB_RUNNING : SDRS_JOB_SUCCESS);
        assert_true(code || n > 5);
    }
}

static void test_validate_a_restore(void **state)
{
    (void)state;
    WORLD_AUTO(w);

    begin_in_state(&w);
    put_tree(w.host);
    free(w.record.type);
    w.record.type = rc_strdup(SDRS_TYPE_RESTORE);
    validate(&w);
    assert_int_equal(w.record.status, SDRS_JOB_ERROR);
    assert_has(w.record.message, "restore again");
}

static void test_mover_of(void **state)
{
    struct sdrs_config config = { .mover = SDRS_MOVER_AUTO };

    (void)state;
    assert_int_equal(sdrs_mover_of(&config, "gs://b/"), SDRS_MOVER_STS);
    assert_int_equal(sdrs_mover_of(&config, "s3://b/"), SDRS_MOVER_DIRECT);
    assert_int_equal(sdrs_mover_of(&config, "file:///lake/b/"), SDRS_MOVER_DIRECT);
    config.mover = SDRS_MOVER_DIRECT;
    assert_int_equal(sdrs_mover_of(&config, "gs://b/"), SDRS_MOVER_DIRECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_what_is_wanted),
        cmocka_unit_test(test_excludes_and_times),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_excluded_prefixes_are_passed),
        cmocka_unit_test(test_excluded_keys_that_are_no_text),
        cmocka_unit_test(test_buckets_have_to_be_there),
        cmocka_unit_test(test_replaced_meanwhile),
        cmocka_unit_test(test_added_meanwhile),
        cmocka_unit_test(test_removed_meanwhile),
        cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_many_collisions),
        cmocka_unit_test(test_single_failures),
        cmocka_unit_test(test_a_full_shadow),
        cmocka_unit_test(test_killed_anywhere),
        cmocka_unit_test(test_each_call_may_fail),
        cmocka_unit_test(test_cancelled_anywhere),
        cmocka_unit_test(test_validate),
        cmocka_unit_test(test_validate_nothing_done),
        cmocka_unit_test(test_validate_failures),
        cmocka_unit_test(test_validate_while_the_store_is_away),
        cmocka_unit_test(test_validate_a_restore),
        cmocka_unit_test(test_mover_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
