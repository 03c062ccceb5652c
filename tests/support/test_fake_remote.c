/*
 * HTTP, the transfer, attributes, stores and buckets on the fake host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <stdio.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *

static void put_text(struct rc_fake_host *host, const char *uri, const char *text)
{
    rc_fake_host_put(host, uri, text, strlen(text));
}

/* ---- http ----------------------------------------------------------------------------------- */

static struct rc_http_request request_of(const char *method, const char *url)
{
    return (struct rc_http_request){
        .struct_bytes = sizeof(struct rc_http_request),
        .name = "the test's request",
        .method = method,
        .url = url,
    };
}

static void test_answers(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_http_request request = request_of(NULL, "https://a.example/x?y=1");
    const struct rc_http_header header = { "Accept", "text/plain" };
    const char *const headers[] = { "Retry-After: 3", "X-Id:7", NULL };
    RC_HTTP_ANSWER_AUTO(answer, 16);
    struct rc_error err;

    rc_fake_host_answer_http(host, "GET https://a.example", 1,
                             &(struct rc_fake_http_answer){ .status = 503, .headers = headers });
    rc_fake_host_answer_http(host, NULL, -1,
                             &(struct rc_fake_http_answer){ .status = 200, .body = "fine" });
    request.headers = &header;
    request.header_count = 1;
    assert_int_equal(rc_http_call(job, &request, &answer, &err), RC_OK);
    assert_int_equal(answer.status, 503);
    assert_string_equal(rc_http_answer_header(&answer, "retry-after"), "3");
    assert_string_equal(rc_http_answer_header(&answer, "x-id"), "7");
    assert_null(rc_http_answer_header(&answer, "x"));

    request.body = "{}";
    request.body_len = 2;
    request.user = "dba";
    request.password = "secret";
    request.auth = RC_HTTP_AUTH_DIGEST;
    request.credentials = "gs://b";
    assert_int_equal(rc_http_call(job, &request, &answer, &err), RC_OK);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body.data, "fine");
    assert_null(rc_http_answer_header(&answer, "retry-after"));

    assert_int_equal(rc_fake_host_http_requests(host), 2);
    struct rc_fake_http_request made = rc_fake_host_http_request(host, 0);
    assert_string_equal(made.method, "GET");
    assert_string_equal(made.url, "https://a.example/x?y=1");
    assert_string_equal(made.headers, "Accept: text/plain\n");
    assert_null(made.user);
    made = rc_fake_host_http_request(host, 1);
    assert_string_equal(made.method, "POST");
    assert_string_equal(made.body, "{}");
    assert_int_equal(made.body_len, 2);
    assert_string_equal(made.user, "dba");
    assert_string_equal(made.password, "secret");
    assert_int_equal(made.auth, RC_HTTP_AUTH_DIGEST);
    assert_string_equal(made.credentials, "gs://b");
}

static void test_answers_that_fail(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    const struct rc_http_request request = request_of("GET", "https://a.example/");
    RC_HTTP_ANSWER_AUTO(answer, 3);
    struct rc_error err;

    assert_int_equal(rc_http_call(job, &request, &answer, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, "no answer is put up for 'GET https://a.example/'"));
    rc_fake_host_answer_http(host, "https://a.example", -1,
                             &(struct rc_fake_http_answer){ .status = 200, .body = "long" });
    assert_int_equal(rc_http_call(job, &request, &answer, &err), RC_TOO_LARGE);
    rc_fake_host_fail_on(host, "http.call", "a.example", 1, RC_TIMEOUT);
    assert_int_equal(rc_http_call(job, &request, &answer, &err), RC_TIMEOUT);
}

static void test_stream(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    const struct rc_http_request request = request_of("GET", "https://a.example/");
    RC_HTTP_ANSWER_AUTO(answer, 100);
    struct rc_http_stream *stream;
    struct rc_error err;
    char data[3];
    size_t len;

    rc_fake_host_answer_http(host, NULL, 1,
                             &(struct rc_fake_http_answer){ .status = 404, .body = "none" });
    rc_fake_host_answer_http(
        host, NULL, -1,
        &(struct rc_fake_http_answer){ .status = 206, .body = "a\0cd", .body_len = 4 });
    assert_int_equal(rc_http_open(job, &request, &answer, &stream, &err), RC_OK);
    assert_null(stream);
    assert_string_equal(answer.body.data, "none");
    assert_int_equal(rc_http_open(job, &request, &answer, &stream, &err), RC_OK);
    assert_int_equal(answer.status, 206);
    assert_int_equal(answer.body.len, 0);
    assert_int_equal(rc_http_read(job, stream, data, sizeof data, &len, &err), RC_OK);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0c", 3);
    rc_fake_host_fail_at(host, 1, RC_UNAVAILABLE);
    assert_int_equal(rc_http_read(job, stream, data, sizeof data, &len, &err), RC_UNAVAILABLE);
    assert_int_equal(rc_http_read(job, stream, data, sizeof data, &len, &err), RC_OK);
    assert_int_equal(len, 1);
    assert_int_equal(rc_http_read(job, stream, data, sizeof data, &len, &err), RC_OK);
    assert_int_equal(len, 0);
    assert_int_equal(rc_fake_host_open_handles(host), 1);
    rc_http_close(job, stream);
    rc_http_close(job, NULL);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void test_dry_run(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_http_request request = request_of("POST", "https://a.example/");
    struct rc_http_stream *stream;
    RC_HTTP_ANSWER_AUTO(answer, 100);
    struct rc_error err;

    job->dry_run = true;
    rc_fake_host_answer_http(host, NULL, -1, &(struct rc_fake_http_answer){ .status = 200 });
    assert_int_equal(rc_http_call(job, &request, &answer, &err), RC_OK);
    assert_int_equal(answer.status, 0);
    assert_int_equal(rc_http_open(job, &request, &answer, &stream, &err), RC_OK);
    assert_null(stream);
    assert_int_equal(rc_fake_host_http_requests(host), 0);
    assert_int_equal(rc_fake_host_held_back(host), 2);
    assert_non_null(strstr(rc_fake_host_log(host), "not made: send 'POST https://a.example/'"));
    request.flags = RC_HTTP_READS_ONLY;
    assert_int_equal(rc_http_call(job, &request, &answer, &err), RC_OK);
    assert_int_equal(answer.status, 200);
}

/* ---- transfer ------------------------------------------------------------------------------- */

struct told {
    struct rc_buf text; /* "copy s3://a/x, ..." */
    char token[32];
    int stop_after;
};

static void note(void *context, const struct rc_transfer_report *report)
{
    static const char *const acts[] = { "copy", "skip", "remove" };
    struct told *told = context;

    rc_buf_addf(&told->text, "%s %s%s ", acts[report->act],
                report->item.source ? report->item.source : report->item.target,
                report->err ? " failed" : "");
}

static enum rc_code keep_token(void *context, const char *token, struct rc_error *err)
{
    struct told *told = context;

    (void)snprintf(told->token, sizeof told->token, "%s", token);
    if (--told->stop_after == 0)
        return rc_fail(err, RC_CANCELLED, "enough");
    return RC_OK;
}

static bool no_markers(void *context, const struct rc_object *object)
{
    (void)context;
    return object->name[0] != '_';
}

static struct rc_transfer tree_of(struct told *told)
{
    return (struct rc_transfer){
        .struct_bytes = sizeof(struct rc_transfer),
        .source = "s3://a/",
        .target = "s3://b/c/",
        .report = note,
        .checkpoint = keep_token,
        .context = told,
    };
}

static void test_tree(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct told told = { .text = RC_BUF_INIT(4096) };
    struct rc_transfer transfer = tree_of(&told);
    struct rc_transferred done;
    struct rc_error err;

    put_text(host, "s3://a/x", "1");
    put_text(host, "s3://a/y/z", "22");
    put_text(host, "s3://a/_done", "");
    put_text(host, "s3://b/c/x", "1");
    put_text(host, "s3://b/c/old", "old");
    put_text(host, "s3://b/c/_mark", "left alone");
    transfer.when = RC_TRANSFER_IF_DIFFERENT;
    transfer.wants = no_markers;
    transfer.flags = RC_TRANSFER_REMOVE_EXTRA | RC_TRANSFER_CHECK;
    assert_int_equal(rc_transfer_run(job, &transfer, &done, &err), RC_OK);
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"),
                        "s3://b/c/_mark\ns3://b/c/old\ns3://b/c/x\n");

    rc_buf_reset(&told.text);
    transfer.flags = RC_TRANSFER_REMOVE_EXTRA;
    assert_int_equal(rc_transfer_run(job, &transfer, &done, &err), RC_OK);
    assert_string_equal(told.text.data, "skip s3://a/x copy s3://a/y/z remove s3://b/c/old ");
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"),
                        "s3://b/c/_mark\ns3://b/c/x\ns3://b/c/y/z\n");
    assert_int_equal(done.found, 2);
    assert_int_equal(done.found_bytes, 3);
    assert_int_equal(done.objects, 1);
    assert_int_equal(done.bytes, 2);
    assert_int_equal(done.skipped, 1);
    assert_int_equal(done.removed, 1);
    rc_buf_clear(&told.text);
}

static void test_resume(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct told told = { .text = RC_BUF_INIT(4096), .stop_after = 1 };
    struct rc_transfer transfer = tree_of(&told);
    char token[32];
    struct rc_error err;

    put_text(host, "s3://a/0", "0");
    put_text(host, "s3://a/1", "1");
    put_text(host, "s3://a/2", "2");
    assert_int_equal(rc_transfer_run(job, &transfer, NULL, &err), RC_CANCELLED);
    (void)snprintf(token, sizeof token, "%s", told.token);
    rc_buf_reset(&told.text);
    transfer.resume = token;
    assert_int_equal(rc_transfer_run(job, &transfer, NULL, &err), RC_OK);
    assert_string_equal(told.text.data, "copy s3://a/1 copy s3://a/2 ");
    rc_buf_clear(&told.text);
}

/* A list: the items of an array until one without names. */
struct list {
    const struct rc_transfer_item *next;
    struct told told;
};

static enum rc_code next_item(void *context, struct rc_transfer_item *item, bool *more,
                              struct rc_error *err)
{
    struct list *list = context;

    (void)err;
    *more = list->next->source || list->next->target;
    if (*more)
        *item = *list->next++;
    return RC_OK;
}

static void note_of_list(void *context, const struct rc_transfer_report *report)
{
    note(&((struct list *)context)->told, report);
}

static void test_list(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    const struct rc_transfer_item items[] = {
        { .source = "s3://a/1", .target = "s3://b/1", .size_bytes = -1 },
        { .source = "s3://a/none", .target = "s3://b/none", .size_bytes = -1 },
        { .source = "s3://a/2", .target = "s3://b/2", .etag = "another" },
        { .source = "s3://a/3", .target = "s3://b/3" },
        { .source = "s3://a/2" },
        { .source = NULL },
    };
    struct list list = { .next = items, .told.text = RC_BUF_INIT(4096) };
    const struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .flags = RC_TRANSFER_KEEP_GOING | RC_TRANSFER_MOVE,
        .next = next_item,
        .report = note_of_list,
        .context = &list,
    };
    struct rc_transferred done;
    struct rc_error err;

    put_text(host, "s3://a/1", "1");
    put_text(host, "s3://a/2", "2");
    put_text(host, "s3://a/3", "3");
    rc_fake_host_fail_on(host, "transfer.copy", "a/3", 1, RC_UNAVAILABLE);
    assert_int_equal(rc_transfer_run(job, &transfer, &done, &err), RC_NOT_FOUND);
    assert_string_equal(list.told.text.data,
                        "copy s3://a/1 copy s3://a/none failed copy s3://a/2 failed "
                        "copy s3://a/3 failed remove s3://a/2 ");
    assert_int_equal(done.failed, 3);
    assert_string_equal(rc_fake_host_objects(host, "s3://"), "s3://a/3\ns3://b/1\n");

    struct rc_transfer both = transfer;
    both.source = "s3://a/";
    assert_int_equal(rc_transfer_run(job, &both, &done, &err), RC_INVALID);

    job->dry_run = true;
    list.next = items + 3;
    assert_int_equal(rc_transfer_run(job, &transfer, &done, &err), RC_OK);
    assert_int_equal(rc_fake_host_held_back(host), 2);
    assert_string_equal(rc_fake_host_objects(host, "s3://"), "s3://a/3\ns3://b/1\n");
    rc_buf_clear(&list.told.text);
}

/* ---- attributes ----------------------------------------------------------------------------- */

static void test_attributes(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    const struct rc_pair tag = { "owner", "dsr" };
    const struct rc_attributes attributes = { .content_type = "text/csv",
                                              .tags = { .len = 1, .items = &tag } };
    struct rc_put_options options = { .struct_bytes = sizeof(options),
                                      .if_match = RC_IF_ABSENT,
                                      .size_bytes = 2,
                                      .attributes = &attributes };
    struct rc_writer *writer;
    struct rc_error err;

    assert_int_equal(rc_storage_create_with(job, "s3://a/x", &options, &writer, &err), RC_OK);
    assert_int_equal(rc_storage_write(job, writer, "1", 1, &err), RC_OK);
    assert_int_equal(rc_storage_commit(job, writer, &err), RC_INVALID);
    rc_storage_write_close(job, writer);
    assert_null(rc_fake_host_attributes(host, "s3://a/x"));

    assert_int_equal(rc_storage_create_with(job, "s3://a/x", &options, &writer, &err), RC_OK);
    assert_int_equal(rc_storage_write(job, writer, "12", 2, &err), RC_OK);
    assert_int_equal(rc_storage_commit(job, writer, &err), RC_OK);
    rc_storage_write_close(job, writer);
    assert_int_equal(rc_storage_copy(job, "s3://a/x", "s3://a/y", &err), RC_OK);
    assert_string_equal(rc_fake_host_attributes(host, "s3://a/y"),
                        "content-type: text/csv\ntag owner: dsr\n");
    assert_int_equal(rc_storage_put(job, "s3://a/y", "3", 1, NULL, &err), RC_OK);
    assert_string_equal(rc_fake_host_attributes(host, "s3://a/y"), "");
}

/* ---- stores and buckets --------------------------------------------------------------------- */

static void test_limits_of_removal(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .flags = RC_TRANSFER_REMOVE_EXTRA | RC_TRANSFER_NOT_FROM_EMPTY | RC_TRANSFER_KEEP_GOING,
        .source = "s3://a/",
        .target = "s3://b/",
        .when = RC_TRANSFER_IF_DIFFERENT,
        .max_removed = 1,
    };
    struct rc_transferred done;
    struct rc_error err;

    put_text(host, "s3://b/1", "1");
    put_text(host, "s3://b/2", "2");
    assert_int_equal(rc_transfer_run(job, &transfer, &done, &err), RC_CONFLICT);
    put_text(host, "s3://a/3", "3");
    assert_int_equal(rc_transfer_run(job, &transfer, &done, &err), RC_CONFLICT);
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/1\ns3://b/2\ns3://b/3\n");
    put_text(host, "s3://a/1", "x");
    transfer.compare = RC_COMPARE_SIZE;
    rc_fake_host_fail_on(host, "transfer.copy", "a/3", 1, RC_UNAVAILABLE);
    assert_int_equal(rc_transfer_run(job, &transfer, &done, &err), RC_UNAVAILABLE);
    assert_int_equal(done.removed, 0);
    assert_int_equal(rc_transfer_run(job, &transfer, &done, &err), RC_OK);
    assert_int_equal(done.removed, 1);
    assert_string_equal(rc_fake_host_object(host, "s3://b/1", NULL), "1");
    transfer.compare = RC_COMPARE_TIME;
    assert_int_equal(rc_transfer_run(job, &transfer, &done, &err), RC_OK);
    assert_string_equal(rc_fake_host_object(host, "s3://b/1", NULL), "x");
    transfer.when = RC_TRANSFER_ALWAYS;
    assert_int_equal(rc_transfer_run(job, &transfer, &done, &err), RC_INVALID);
}

static void test_stores(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_store store = {
        .struct_bytes = sizeof store,
        .name = "input",
        .url = "s3://bucket/folder",
        .secret_access_key = "s",
    };
    struct rc_stat stat;
    struct rc_error err;

    put_text(host, "store://input/x", "1");
    assert_int_equal(rc_storage_stat(job, "store://input/x", &stat, &err), RC_INVALID);
    assert_null(rc_fake_host_store(host, "input"));
    assert_int_equal(rc_storage_define(job, &store, &err), RC_OK);
    assert_int_equal(rc_storage_stat(job, "store://input/x", &stat, &err), RC_OK);
    assert_string_equal(rc_fake_host_store(host, "input")->url, "s3://bucket/folder");
    assert_int_equal(rc_storage_define(job, &store, &err), RC_OK);
    store.secret_access_key = "t";
    assert_int_equal(rc_storage_define(job, &store, &err), RC_CONFLICT);
    rc_fake_host_fail_on(host, "storage.define", "output", 1, RC_DENIED);
    store.name = "output";
    assert_int_equal(rc_storage_define(job, &store, &err), RC_DENIED);
}

static void test_sweep(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    int64_t swept;

    rc_fake_host_pend(host, "s3://b/day/1", 100);
    rc_fake_host_pend(host, "s3://b/day/2", 200);
    rc_fake_host_pend(host, "s3://b/other", 100);
    job->dry_run = true;
    assert_int_equal(rc_storage_sweep(job, "s3://b/day/", INT64_MAX, &swept, &err), RC_OK);
    assert_int_equal(swept, 2);
    assert_int_equal(rc_fake_host_held_back(host), 2);
    job->dry_run = false;
    assert_int_equal(rc_storage_sweep(job, "s3://b/day/", 200, &swept, &err), RC_OK);
    assert_int_equal(swept, 1);
    assert_string_equal(rc_fake_host_pending(host), "s3://b/day/2\ns3://b/other\n");
    assert_int_equal(rc_storage_sweep(job, "s3://b/day/", INT64_MAX, NULL, &err), RC_OK);
    assert_string_equal(rc_fake_host_pending(host), "s3://b/other\n");
}

static void test_buckets(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_bucket bucket;
    struct rc_error err;

    assert_int_equal(rc_bucket_look(job, "s3://b/x", &bucket, &err), RC_OK);
    assert_string_equal(bucket.name, "s3://b");
    assert_int_equal(bucket.exists, RC_ANSWER_NO);
    assert_int_equal(rc_bucket_expire(job, "s3://b", 3, &err), RC_NOT_FOUND);
    job->dry_run = true;
    assert_int_equal(rc_bucket_create(job, "s3://b", &err), RC_OK);
    assert_int_equal(rc_fake_host_held_back(host), 1);
    job->dry_run = false;
    assert_int_equal(rc_bucket_create(job, "s3://b", &err), RC_OK);
    assert_int_equal(rc_bucket_encrypt(job, "s3://b/y/", &err), RC_OK);
    assert_int_equal(rc_bucket_expire(job, "s3://b/", 3, &err), RC_OK);
    rc_fake_host_bucket(host, "s3://b/z")->is_public = RC_ANSWER_UNKNOWN;
    assert_int_equal(rc_bucket_look(job, "s3://b/x", &bucket, &err), RC_OK);
    assert_int_equal(bucket.exists, RC_ANSWER_YES);
    assert_string_equal(bucket.encryption, "AES256");
    assert_int_equal(bucket.expire_days, 3);
    assert_int_equal(bucket.is_public, RC_ANSWER_UNKNOWN);
    rc_fake_host_fail_on(host, "bucket.encrypt", NULL, 1, RC_UNSUPPORTED);
    assert_int_equal(rc_bucket_encrypt(job, "s3://b", &err), RC_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_answers_that_fail),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_limits_of_removal),
        cmocka_unit_test(test_stores),
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
