/*
 * Signatures against every case in tests/data/sigv4: canonical request, text to sign and signature,
 * in headers and, where the case has it, in the query.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <cloud/aws_keys.h>

#include <config/json.h>
#include <os/digest.h>
#include <os/file.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_HEADERS = 20, ANY_LENGTH = 1 << 20 };

/* ---- reading the cases ----------------------------------------------------------------------- */

static struct core_node *read_cases(struct core_arena *arena, const char *name)
{
    const char *source = getenv("RUN_CORE_SOURCE");
    RC_STR_AUTO path = rc_strf("%s/tests/data/sigv4/%s", source ? source : ".", name);
    RC_BUF_AUTO(text, ANY_LENGTH);
    CORE_PROBLEMS_AUTO(problems);
    struct rc_error err = RC_ERROR_INIT;

    if (core_file_read(path, &text, &err))
        fail_msg("%s; is RUN_CORE_SOURCE the folder of the sources?", err.cause);
    struct core_node *cases = core_json_read(arena, name, text.data, text.len, &problems);
    assert_non_null(cases);
    assert_int_equal(problems.count, 0);
    return cases;
}

static const char *text_of(const struct core_node *map, const char *key)
{
    const struct core_node *node = core_node_get(map, key);

    return node && node->kind == CORE_NODE_SCALAR ? node->text : NULL;
}

/* "20150830T123600Z", with or without the separators of RFC 3339. */
static int64_t time_of(const char *text)
{
    char digits[16] = "";
    size_t len = 0;
    int64_t out;

    for (; *text; text++)
        if (*text >= '0' && *text <= '9' && len < 14)
            digits[len++] = *text;
    RC_STR_AUTO time = rc_strf("%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", digits, digits + 4, digits + 6,
                               digits + 8, digits + 10, digits + 12);
    assert_true(rc_parse_time(time, &out));
    return out;
}

struct example {
    struct core_sigv4 request;
    struct core_aws_keys keys;
    struct core_http_header headers[MOST_HEADERS];
    char payload[CORE_DIGEST_HEX];
};

static void add_header(struct example *example, const char *name, const char *value)
{
    if (strcasecmp(name, "host") == 0) {
        example->request.host = value;
    } else if (strcasecmp(name, "x-amz-date") == 0) {
        example->request.now_unix_ms = time_of(value); /* made by the signature itself */
    } else if (strcasecmp(name, "x-amz-content-sha256") == 0) {
        example->request.add_payload = true;
    } else {
        assert_in_range(example->request.header_count, 0, MOST_HEADERS - 1);
        example->headers[example->request.header_count++] =
            (struct core_http_header){ .name = name, .value = value };
    }
}

static void hash_payload(struct example *example, const char *body)
{
    unsigned char digest[CORE_DIGEST_BYTES];
    RC_BUF_AUTO(hex, CORE_DIGEST_HEX);

    core_digest(CORE_SHA256, body, strlen(body), digest);
    core_add_hex(&hex, digest, sizeof(digest));
    memcpy(example->payload, hex.data, hex.len + 1);
    example->request.payload = example->payload;
}

/* ---- checking one ---------------------------------------------------------------------------- */

static void check_header_form(const struct example *example, const struct core_node *want)
{
    RC_BUF_AUTO(canonical, ANY_LENGTH);
    RC_BUF_AUTO(to_sign, ANY_LENGTH);
    RC_BUF_AUTO(headers, ANY_LENGTH);
    const char *authorization = text_of(want, "authorization");
    const char *signature = text_of(want, "signature"), *last = NULL;

    core_sigv4_canonical_request(&example->request, &example->keys, &canonical);
    assert_string_equal(canonical.data, text_of(want, "canonical_request"));
    core_sigv4_string_to_sign(&example->request, canonical.data, &to_sign);
    assert_string_equal(to_sign.data, text_of(want, "string_to_sign"));

    core_sigv4_sign(&example->request, &example->keys, &headers);
    for (const char *at = headers.data; at < headers.data + headers.len; at += strlen(at) + 1)
        last = at;
    assert_non_null(last);
    if (authorization)
        assert_string_equal(last, authorization);
    else
        assert_true(rc_str_ends(last, signature));
}

static void check_query_form(const struct example *example, const struct core_node *want,
                             int64_t lifetime_s, const struct core_aws_keys *keys)
{
    static const struct core_aws_keys nobody = CORE_AWS_KEYS_INIT;
    RC_BUF_AUTO(query, ANY_LENGTH);
    RC_BUF_AUTO(canonical, ANY_LENGTH);
    RC_BUF_AUTO(to_sign, ANY_LENGTH);
    const char *url = text_of(want, "signed_request");
    struct core_sigv4 presigned = example->request;

    core_sigv4_presign(&example->request, keys, lifetime_s, &query);
    if (url) { /* each parameter is in the published URL, too */
        RC_STR_AUTO copy = rc_strdup(query.data);
        char *rest = copy;

        for (char *part; (part = strsep(&rest, "&")) != NULL;)
            if (*part && !strstr(url, part))
                fail_msg("'%s' is not in '%s'", part, url);
    }
    char *signature = strstr(query.data, "&X-Amz-Signature=");
    assert_non_null(signature);
    assert_string_equal(signature + strlen("&X-Amz-Signature="), text_of(want, "signature"));

    *signature = '\0';
    presigned.query = query.data;
    core_sigv4_canonical_request(&presigned, &nobody, &canonical);
    assert_string_equal(canonical.data, text_of(want, "canonical_request"));
    core_sigv4_string_to_sign(&presigned, canonical.data, &to_sign);
    assert_string_equal(to_sign.data, text_of(want, "string_to_sign"));
}

/* ---- the published suites -------------------------------------------------------------------- */

/* Takes the text of a request apart, in place. Returns the body. */
static const char *split_request(struct example *example, char *text, char **path)
{
    char *line_end = text + strcspn(text, "\n");
    char *rest = *line_end ? line_end + 1 : line_end, *query;

    *line_end = '\0';
    example->request.method = strsep(&text, " ");
    *strstr(text, " HTTP/1.1") = '\0';
    *path = text;
    query = strchr(text, '?');
    if (query)
        *query++ = '\0';
    example->request.query = query;
    while (*rest && *rest != '\n') {
        char *end = rest + strcspn(rest, "\n");

        while (end[0] && (end[1] == ' ' || end[1] == '\t')) /* goes on in the next line */
            end += 1 + strcspn(end + 1, "\n");
        char *next = *end ? end + 1 : end, *name = strsep(&rest, ":");

        *end = '\0';
        add_header(example, name, rest);
        rest = next;
    }
    return *rest ? rest + 1 : rest;
}

static void check_vector(const struct core_node *vector)
{
    const struct core_node *context = core_node_get(vector, "context");
    const struct core_node *credentials = core_node_get(context, "credentials");
    const struct core_node *header = core_node_get(vector, "header");
    const char *name = text_of(vector, "name");
    RC_STR_AUTO text = rc_strdup(text_of(vector, "request"));
    RC_STR_AUTO token = NULL;
    const char *lifetime = text_of(context, "expiration_in_seconds");
    bool token_later = rc_str_eq(text_of(context, "omit_session_token"), "true");
    struct example example = {
        .request = { .service = text_of(context, "service"),
                     .region = text_of(context, "region"),
                     .now_unix_ms = time_of(text_of(context, "timestamp")),
                     .plain_path = rc_str_eq(text_of(context, "normalize"), "false"),
                     .add_payload = rc_str_eq(text_of(context, "sign_body"), "true") },
        /* borrowed, so they are not cleared */
        .keys = { .access_key_id = (char *)(uintptr_t)text_of(credentials, "access_key_id"),
                  .secret_access_key = (char *)(uintptr_t)text_of(credentials, "secret_access_key"),
                  /* A token that is to be added after the signature has no part in it. */
                  .session_token =
                      token_later ? NULL : (char *)(uintptr_t)text_of(credentials, "token") },
    };
    RC_BUF_AUTO(sent_path, ANY_LENGTH);
    char *path;
    const char *body = split_request(&example, text, &path);
    const struct core_node *query = core_node_get(vector, "query");

    hash_payload(&example, body);
    /* One case of botocore shows its token only in the result. */
    if (!example.keys.session_token && rc_str_eq(name, "get-vanilla-with-session-token")) {
        token = rc_strdup(strstr(text_of(header, "signed_request"), "Token:") + strlen("Token:"));
        token[strcspn(token, "\n")] = '\0';
        example.keys.session_token = token;
    }
    example.request.headers = example.headers;
    example.request.path = path;
    if (example.request.plain_path) { /* "as it stands in the request line" */
        for (; *path; path++)
            if (*path == '/')
                rc_buf_addc(&sent_path, '/');
            else
                rc_buf_add_url(&sent_path, path, 1);
        example.request.path = sent_path.data;
    }
    check_header_form(&example, header);
    if (query) {
        int64_t lifetime_s = 0;

        assert_true(rc_parse_int(lifetime, &lifetime_s));
        if (token_later)
            /* The URL has the token behind the rest; everything else is the same. */
            assert_non_null(strstr(text_of(query, "signed_request"), "X-Amz-Security-Token="));
        check_query_form(&example, query, lifetime_s, &example.keys);
    }
}

static void signs_the_published_vectors(void **state)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *vectors = read_cases(&arena, "vectors.json");
    size_t both = 0;

    (void)state;
    assert_int_equal(vectors->len, 72);
    for (size_t i = 0; i < vectors->len; i++) {
        print_message("%s %s\n", text_of(vectors->items[i], "suite"),
                      text_of(vectors->items[i], "name"));
        check_vector(vectors->items[i]);
        both += core_node_get(vectors->items[i], "query") != NULL;
    }
    assert_int_equal(both, 38);
    core_arena_clear(&arena);
}

/* ---- S3 -------------------------------------------------------------------------------------- */

static void fill(struct example *example, const struct core_node *from)
{
    const struct core_node *headers = core_node_get(from, "headers");

    *example = (struct example){
        .request = { .service = text_of(from, "service"),
                     .region = text_of(from, "region"),
                     .method = text_of(from, "method"),
                     .host = text_of(from, "host"),
                     .path = text_of(from, "path"),
                     .plain_path = rc_str_eq(text_of(from, "service"), "s3") },
        .keys = { .access_key_id = (char *)(uintptr_t)text_of(from, "access_key"),
                  .secret_access_key = (char *)(uintptr_t)text_of(from, "secret_key"),
                  .session_token = (char *)(uintptr_t)text_of(from, "token") },
    };
    example->request.headers = example->headers;
    for (size_t i = 0; i < headers->len; i++)
        add_header(example, headers->entries[i].key, headers->entries[i].value->text);
}

static void signs_the_examples_of_the_documentation(void **state)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *cases = read_cases(&arena, "s3_examples.json");

    (void)state;
    assert_int_equal(cases->len, 5);
    for (size_t i = 0; i < cases->len; i++) {
        const struct core_node *from = cases->items[i];
        struct example example;

        fill(&example, from);
        example.request.payload = text_of(from, "payload_hash");
        if (example.request.add_payload) {
            example.request.query = text_of(from, "query");
            check_header_form(&example, from);
        } else {
            example.request.now_unix_ms = time_of("20130524T000000Z");
            check_query_form(&example, from, 86400, &example.keys);
        }
    }
    core_arena_clear(&arena);
}

static void signs_as_other_clients_do(void **state)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *cases = read_cases(&arena, "s3_generated.json");

    (void)state;
    assert_int_equal(cases->len, 39);
    for (size_t i = 0; i < cases->len; i++) {
        const struct core_node *from = cases->items[i], *pairs = core_node_get(from, "query");
        RC_BUF_AUTO(query, ANY_LENGTH);
        struct example example;

        print_message("%s\n", text_of(from, "name"));
        for (size_t pair = 0; pair < pairs->len; pair++) {
            struct core_node *const *items = pairs->items[pair]->items;

            rc_buf_adds(&query, pair > 0 ? "&" : "");
            rc_buf_add_url(&query, items[0]->text, strlen(items[0]->text));
            rc_buf_addc(&query, '=');
            rc_buf_add_url(&query, items[1]->text, strlen(items[1]->text));
        }
        fill(&example, from);
        example.request.query = query.data;
        example.request.now_unix_ms = time_of(text_of(from, "timestamp"));
        example.request.payload = text_of(from, "payload_sha256");
        if (!example.request.payload)
            hash_payload(&example, text_of(from, "body"));
        example.request.add_payload = example.request.plain_path;
        check_header_form(&example, from);
    }
    core_arena_clear(&arena);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static const struct core_sigv4 plain = { .service = "s3",
                                         .region = "eu-west-1",
                                         .now_unix_ms = 1700000000123,
                                         .method = "GET",
                                         .host = "b.example",
                                         .path = "/k",
                                         .query = "a=b",
                                         .payload = CORE_SIGV4_UNSIGNED,
                                         .plain_path = true,
                                         .add_payload = true };

static void adds_nothing_for_nobody(void **state)
{
    CORE_AWS_KEYS_AUTO(nobody);
    RC_BUF_AUTO(out, 1000);

    (void)state;
    core_sigv4_sign(&plain, &nobody, &out);
    assert_int_equal(out.len, 0);
    core_sigv4_presign(&plain, &nobody, 60, &out);
    assert_string_equal(out.data, "a=b");
}

static void lists_what_is_to_be_sent(void **state)
{
    static const char want[] =
        "x-amz-date|20231114T221320Z|x-amz-security-token|TOKEN|x-amz-content-sha256|"
        "UNSIGNED-PAYLOAD|authorization|AWS4-HMAC-SHA256 Credential=AKID/20231114/eu-west-1/s3/"
        "aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, "
        "Signature=";
    CORE_AWS_KEYS_AUTO(keys);
    RC_BUF_AUTO(out, 1000);

    (void)state;
    keys.access_key_id = rc_strdup("AKID");
    keys.secret_access_key = rc_strdup("SECRET");
    keys.session_token = rc_strdup("TOKEN");
    core_sigv4_sign(&plain, &keys, &out);
    for (size_t i = 0; i < out.len; i++)
        if (!out.data[i])
            out.data[i] = '|';
    assert_true(rc_str_starts(out.data, want));
    assert_int_equal(out.len, strlen(want) + 64 + 1);
}

/* All ways to write a parameter are signed alike; '+' is a plus, not a blank. */
static void writes_parameters_in_one_way(void **state)
{
    static const char *const queries[][2] = {
        { "b=2&a=1", "a=1&b=2" },
        { "a", "a=" },
        { "a=b=c", "a=b%3Dc" },
        { "&&a=1&", "a=1" },
        { "%7e=%7E", "~=~" },
        { "a=%2f&b=/", "a=%2F&b=%2F" },
        { "a=%zz", "a=%25zz" },
        { "a=1%", "a=1%25" },
        { "a=x+y", "a=x%2By" },
        { "a-b=1&a=2", "a=2&a-b=1" },
        { "a=2&a=10&a", "a=&a=10&a=2" },
        { "", "" },
    };
    CORE_AWS_KEYS_AUTO(nobody);

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(queries); i++) {
        RC_BUF_AUTO(out, 1000);
        struct core_sigv4 request = plain;
        RC_STR_AUTO want =
            rc_strf("GET\n/k\n%s\nhost:b.example\n\nhost\nUNSIGNED-PAYLOAD", queries[i][1]);

        request.query = queries[i][0];
        core_sigv4_canonical_request(&request, &nobody, &out);
        assert_string_equal(out.data, want);
    }
}

static void straightens_paths_but_those_of_s3(void **state)
{
    static const char *const paths[][2] = {
        { "/", "/" },
        { "//", "/" },
        { "/a", "/a" },
        { "/a/", "/a/" },
        { "/a/.", "/a/" },
        { "/a/..", "/" },
        { "/../a", "/a" },
        { "/a/b/../c", "/a/c" },
        { "/a/../../b/", "/b/" },
        { "/a%20b", "/a%2520b" },
        { "/a/./..b", "/a/..b" },
        { "/.../x", "/.../x" },
    };
    CORE_AWS_KEYS_AUTO(nobody);

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(paths); i++)
        for (int s3 = 0; s3 < 2; s3++) {
            RC_BUF_AUTO(out, 1000);
            struct core_sigv4 request = plain;
            RC_STR_AUTO want = rc_strf("GET\n%s\na=b\nhost:b.example\n\nhost\nUNSIGNED-PAYLOAD",
                                       paths[i][s3 ? 0 : 1]);

            request.path = paths[i][0];
            request.plain_path = s3;
            core_sigv4_canonical_request(&request, &nobody, &out);
            assert_string_equal(out.data, want);
        }
}

static void sign_into(char out[65], const char *secret, const char *region, int64_t now_unix_ms)
{
    struct core_sigv4 request = plain;
    struct core_aws_keys keys = { .access_key_id = (char *)(uintptr_t) "AKID",
                                  .secret_access_key = (char *)(uintptr_t)secret };
    RC_BUF_AUTO(headers, ANY_LENGTH);

    request.region = region;
    request.now_unix_ms = now_unix_ms;
    core_sigv4_sign(&request, &keys, &headers);
    memcpy(out, headers.data + headers.len - 65, 65);
}

/* A kept signing key is used for nothing but what it was made for. */
static void *sign_in_turns(void *failure)
{
    char long_secret[2001], first[5][65], again[65];
    const char *const secrets[] = { "one", "two", "one", "one", long_secret };
    const char *const regions[] = { "eu", "eu", "us", "eu", "eu" };
    const int64_t days[] = { 1, 1, 1, 2, 1 };

    memset(long_secret, 's', sizeof(long_secret) - 1);
    long_secret[sizeof(long_secret) - 1] = '\0';
    for (size_t i = 0; i < 5; i++)
        sign_into(first[i], secrets[i], regions[i], days[i] * RC_DAY_MS);
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(first[i], first[j]) == 0)
                return failure;
    for (size_t round = 0; round < 500; round++) {
        size_t i = round * 7 % 5;

        sign_into(again, secrets[i], regions[i], days[i] * RC_DAY_MS);
        if (strcmp(first[i], again) != 0)
            return failure;
    }
    return NULL;
}

static void keeps_signing_keys_apart(void **state)
{
    static char failure;
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_in_turns, &failure), 0);
    for (size_t i = 0; i < RC_ARRAY_LEN(threads); i++) {
        void *wrong;

        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

static void copies_keys(void **state)
{
    CORE_AWS_KEYS_AUTO(keys);
    CORE_AWS_KEYS_AUTO(copy);

    (void)state;
    core_aws_keys_copy(&copy, &keys);
    assert_null(copy.access_key_id);
    assert_true(copy.expires_unix_ms == INT64_MAX);
    keys.access_key_id = rc_strdup("A");
    keys.secret_access_key = rc_strdup("S");
    keys.expires_unix_ms = 5;
    core_aws_keys_copy(&copy, &keys);
    core_aws_keys_clear(&keys);
    core_aws_keys_clear(&keys);
    assert_string_equal(copy.access_key_id, "A");
    assert_string_equal(copy.secret_access_key, "S");
    assert_null(copy.session_token);
    assert_true(copy.expires_unix_ms == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_the_published_vectors),
        cmocka_unit_test(signs_the_examples_of_the_documentation),
        cmocka_unit_test(signs_as_other_clients_do),
        cmocka_unit_test(adds_nothing_for_nobody),
        cmocka_unit_test(lists_what_is_to_be_sent),
        cmocka_unit_test(writes_parameters_in_one_way),
        cmocka_unit_test(straightens_paths_but_those_of_s3),
        cmocka_unit_test(keeps_signing_keys_apart),
        cmocka_unit_test(copies_keys),
    };
    struct rc_error err = RC_ERROR_INIT;

    if (core_digest_load(&err)) {
        fprintf(stderr, "%s\n", err.cause);
        return 1;
    }
    return cmocka_run_group_tests_name("aws_keys", tests, NULL, NULL);
}
