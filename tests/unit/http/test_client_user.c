/*
 * Users: what they prove, how, to whom, and how often. Digests are judged by libmicrohttpd, whose
 * side of them is not ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <client_fixture.h>

#include <os/library.h>

#include <microhttpd.h>

#include <stdlib.h>
#include <string.h>

enum { LARGE = 3 * 1024 * 1024, NONCE_S = 60 };

#define REALM "the realm"
#define USER "who am i"
#define PASSWORD "pass:word, \\ \"quoted\" \xc3\xbc"

static char large[LARGE];

static int fill(void **state)
{
    (void)state;
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)('a' + i % 23);
    return 0;
}

/* ---- a server of libmicrohttpd --------------------------------------------------------------- */

struct library {
    __typeof__(&MHD_start_daemon) start_daemon;
    __typeof__(&MHD_stop_daemon) stop_daemon;
    __typeof__(&MHD_get_daemon_info) get_daemon_info;
    __typeof__(&MHD_lookup_connection_value) lookup_connection_value;
    __typeof__(&MHD_digest_auth_get_username) digest_auth_get_username;
    __typeof__(&MHD_digest_auth_check2) digest_auth_check2;
    __typeof__(&MHD_queue_auth_fail_response2) queue_auth_fail_response2;
    __typeof__(&MHD_basic_auth_get_username_password) basic_auth_get_username_password;
    __typeof__(&MHD_queue_basic_auth_fail_response) queue_basic_auth_fail_response;
    __typeof__(&MHD_create_response_from_buffer) create_response_from_buffer;
    __typeof__(&MHD_queue_response) queue_response;
    __typeof__(&MHD_destroy_response) destroy_response;
    __typeof__(&MHD_free) free;
};

#define SYMBOL(name)                                                                               \
    {                                                                                              \
        "MHD_" #name, offsetof(struct library, name)                                               \
    }

static const struct core_library_symbol symbols[] = {
    SYMBOL(start_daemon),
    SYMBOL(stop_daemon),
    SYMBOL(get_daemon_info),
    SYMBOL(lookup_connection_value),
    SYMBOL(digest_auth_get_username),
    SYMBOL(digest_auth_check2),
    SYMBOL(queue_auth_fail_response2),
    SYMBOL(basic_auth_get_username_password),
    SYMBOL(queue_basic_auth_fail_response),
    SYMBOL(create_response_from_buffer),
    SYMBOL(queue_response),
    SYMBOL(destroy_response),
    SYMBOL(free),
};

static struct library library;

/* A request: its body, once the server has a mind to read it. */
struct guest {
    struct rc_buf body;
    bool was_refused; /* before the body */
};

struct server {
    struct MHD_Daemon *daemon;
    atomic_int requests, proven;
};

static enum MHD_Result refuse_digest(struct MHD_Connection *connection,
                                     struct MHD_Response *response, bool sha, int checked)
{
    return library.queue_auth_fail_response2(connection, REALM, "opaque", response,
                                             checked == MHD_INVALID_NONCE,
                                             sha ? MHD_DIGEST_ALG_SHA256 : MHD_DIGEST_ALG_MD5);
}

static bool is_basic(struct MHD_Connection *connection)
{
    char *password = NULL;
    char *user = library.basic_auth_get_username_password(connection, &password);
    bool right = user && password && strcmp(user, USER) == 0 && strcmp(password, PASSWORD) == 0;

    library.free(user);
    library.free(password);
    return right;
}

/* By the path: "/basic", "/md5", "/sha"; anything else is open. *proven: no answer is queued. */
static enum MHD_Result look_for_proof(struct MHD_Connection *connection, const char *path,
                                      bool *proven)
{
    static char text[] = "who are you?";
    bool sha = strncmp(path, "/sha", 4) == 0, digest = sha || strncmp(path, "/md5", 4) == 0;
    struct MHD_Response *response;
    enum MHD_Result result;
    int checked = MHD_NO;
    char *user;

    *proven = false;
    if (digest && (user = library.digest_auth_get_username(connection)) != NULL) {
        checked = library.digest_auth_check2(connection, REALM, USER, PASSWORD, NONCE_S,
                                             sha ? MHD_DIGEST_ALG_SHA256 : MHD_DIGEST_ALG_MD5);
        library.free(user);
    }
    *proven = digest ? checked == MHD_YES : strncmp(path, "/basic", 6) != 0 || is_basic(connection);
    if (*proven)
        return MHD_YES;
    response = library.create_response_from_buffer(strlen(text), text, MHD_RESPMEM_PERSISTENT);
    result = digest ? refuse_digest(connection, response, sha, checked)
                    : library.queue_basic_auth_fail_response(connection, REALM, response);
    library.destroy_response(response);
    return result;
}

static enum MHD_Result echo(struct MHD_Connection *connection, const struct guest *guest)
{
    struct MHD_Response *response = library.create_response_from_buffer(
        guest->body.len, guest->body.data, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = library.queue_response(connection, 200, response);

    library.destroy_response(response);
    return result;
}

/* Refuses a request by its head if it asks first, else once it has the body. */
static enum MHD_Result serve(void *context, struct MHD_Connection *connection, const char *path,
                             const char *method, const char *version, const char *data, size_t *len,
                             void **context_of_request)
{
    struct server *server = context;
    struct guest *guest = *context_of_request;
    bool is_late = !library.lookup_connection_value(connection, MHD_HEADER_KIND, "Expect");
    bool proven = false;
    enum MHD_Result result;

    (void)method, (void)version;
    if (!guest) {
        *context_of_request = guest = rc_calloc(1, sizeof(*guest));
        rc_buf_init(&guest->body, LARGE);
        (void)atomic_fetch_add(&server->requests, 1);
        if (is_late)
            return MHD_YES;
        result = look_for_proof(connection, path, &proven);
        guest->was_refused = !proven;
        return result;
    }
    if (*len > 0) {
        rc_buf_add(&guest->body, data, *len);
        *len = 0;
        return MHD_YES;
    }
    if (guest->was_refused)
        return MHD_YES;
    result = is_late ? look_for_proof(connection, path, &proven) : MHD_YES;
    if (is_late && !proven)
        return result;
    (void)atomic_fetch_add(&server->proven, 1);
    return echo(connection, guest);
}

static void forget(void *context, struct MHD_Connection *connection, void **context_of_request,
                   enum MHD_RequestTerminationCode how)
{
    struct guest *guest = *context_of_request;

    (void)context, (void)connection, (void)how;
    if (guest)
        rc_buf_clear(&guest->body);
    free(guest);
}

/* Its URL is freed by the caller. */
static char *open_server(struct server *server)
{
    struct rc_error err = RC_ERROR_INIT;
    const union MHD_DaemonInfo *info;

    if (!library.start_daemon &&
        core_library_load("libmicrohttpd.so.12", symbols, RC_ARRAY_LEN(symbols), &library, &err))
        fail_msg("%s", err.cause);
    *server = (struct server){ .daemon = NULL };
    server->daemon = library.start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, serve, server,
        MHD_OPTION_NONCE_NC_SIZE, 50U, MHD_OPTION_DIGEST_AUTH_RANDOM, (size_t)8, "12345678",
        MHD_OPTION_NOTIFY_COMPLETED, forget, NULL, MHD_OPTION_END);
    assert_non_null(server->daemon);
    info = library.get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return rc_strf("http://127.0.0.1:%u", (unsigned)info->port);
}

/* ---- proofs that a server asks for ----------------------------------------------------------- */

static const char *const ways[] = { "/basic", "/md5", "/sha", "/open" };

/* Which way suffices where. */
static bool suffices(enum core_http_auth auth, const char *way)
{
    bool is_basic_way = strcmp(way, "/basic") == 0, is_open = strcmp(way, "/open") == 0;

    return is_open || auth == CORE_HTTP_AUTH_ANY || (auth == CORE_HTTP_AUTH_BASIC) == is_basic_way;
}

static void proves_who_asks(void **state)
{
    static const char *const methods[] = { "GET", "POST", "PUT" };
    static const size_t lens[] = { 0, 10, LARGE };
    struct core_http_client *client = quick_client(NULL);
    struct server server;
    RC_STR_AUTO base = open_server(&server);

    (void)state;
    for (size_t i = 0; i < 3 * RC_ARRAY_LEN(ways) * 3 * 2; i++) {
        enum core_http_auth auth = (enum core_http_auth)(i % 3);
        const char *way = ways[i / 3 % RC_ARRAY_LEN(ways)];
        size_t nth = i / 3 / RC_ARRAY_LEN(ways) % 3;
        bool never = i / 36 % 2;
        RC_STR_AUTO url = rc_strf("%s%s?a=b%%20c", base, way);
        struct outcome got;

        ask(
            (struct core_http_call){
                .client = client,
                .url = url,
                .method = methods[nth],
                .body = large,
                .body_len = lens[nth],
                .user = USER,
                .password = PASSWORD,
                .auth = auth,
                .repeat = never ? CORE_HTTP_REPEAT_NEVER : CORE_HTTP_REPEAT_BY_METHOD,
            },
            &got);
        if (got.code)
            fail_msg("%s %s: %s", methods[nth], url, got.err.cause);
        assert_int_equal(got.answer.status, suffices(auth, way) ? 200 : 401);
        assert_int_equal(got.answer.attempts, 1);
        if (got.answer.status == 200) {
            assert_int_equal(got.answer.body.len, lens[nth]);
            assert_memory_equal(got.answer.body.data, large, lens[nth]);
        } else {
            assert_string_equal(got.answer.body.data, "who are you?");
        }
        core_http_answer_clear(&got.answer);
    }
    core_http_client_free(client);
    library.stop_daemon(server.daemon);
}

/* The answer to a wrong proof is the answer: asking again would lock the user out. */
static void is_refused_once(void **state)
{
    struct core_http_client *client = quick_client(NULL);
    struct server server;
    RC_STR_AUTO base = open_server(&server);

    (void)state;
    for (size_t i = 0; i < 12; i++) {
        bool wrong = i % 2 == 0;
        const char *way = ways[i / 2 % 3];
        RC_STR_AUTO url = rc_strf("%s%s", base, way);
        int before = atomic_load(&server.requests);
        struct outcome got;

        ask(
            (struct core_http_call){
                .client = i < 6 ? client : NULL,
                .url = url,
                .user = USER,
                .password = wrong ? "guessed" : PASSWORD,
            },
            &got);
        assert_int_equal(got.code, RC_OK);
        assert_int_equal(got.answer.status, wrong ? 401 : 200);
        assert_int_equal(got.answer.attempts, 1);
        assert_int_equal(atomic_load(&server.requests) - before, 2);
        core_http_answer_clear(&got.answer);
    }
    core_http_client_free(client);
    library.stop_daemon(server.daemon);
}

static void streams_what_needs_a_proof(void **state)
{
    struct core_http_client *client = quick_client(NULL);
    struct server server;
    RC_STR_AUTO base = open_server(&server);
    RC_STR_AUTO piece = rc_malloc(LARGE);

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        RC_STR_AUTO url = rc_strf("%s%s", base, ways[i % 3]);
        RC_STR_AUTO user = rc_strdup(USER);
        struct core_http_answer answer;
        struct core_http_stream *stream;
        struct rc_error err = RC_ERROR_INIT;
        size_t len = 1, total = 0;

        core_http_answer_init(&answer, 1000);
        assert_int_equal(core_http_open(
                             &(struct core_http_call){
                                 .client = client,
                                 .url = url,
                                 .body = large,
                                 .body_len = LARGE,
                                 .user = user,
                                 .password = i < 3 ? PASSWORD : "guessed",
                             },
                             &answer, &stream, &err),
                         RC_OK);
        /* It may go away now. */
        memset(user, 'x', strlen(user));
        assert_int_equal(answer.status, i < 3 ? 200 : 401);
        while (stream && len > 0) {
            assert_int_equal(core_http_read(stream, piece + total, LARGE - total + 1, &len, &err),
                             RC_OK);
            total += len;
            if (total == LARGE)
                break;
        }
        assert_int_equal(total, i < 3 ? LARGE : 0);
        assert_memory_equal(piece, large, total);
        core_http_close(stream);
        core_http_answer_clear(&answer);
    }
    core_http_client_free(client);
    library.stop_daemon(server.daemon);
}

/* ---- who hears of it ------------------------------------------------------------------------- */

/* Base64 of "who:secret-1". */
#define BASIC "Authorization: Basic d2hvOnNlY3JldC0x\r\n"
#define DIGEST_CHALLENGE                                                                           \
    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5\r\n"

/* Leads "/to..." to the URL behind the context; shows any other request. */
static bool show(const struct scene *scene, void *context)
{
    RC_STR_AUTO headers = rc_strf("Location: %s\r\n", context ? (const char *)context : "/");

    if (strstr(scene->text, " /to"))
        reply(scene, 307, headers, "");
    else if (strstr(scene->text, " /locked") && !strstr(scene->text, "Authorization"))
        reply(scene, 401, "WWW-Authenticate: Basic realm=\"r\"\r\n" DIGEST_CHALLENGE, "no");
    else
        reply(scene, 200, NULL, scene->text);
    return true;
}

static struct core_http_call who(struct core_http_client *client, const char *url)
{
    return (struct core_http_call){ .client = client,
                                    .name = "the question",
                                    .url = url,
                                    .user = "who",
                                    .password = "secret-1",
                                    .auth = CORE_HTTP_AUTH_BASIC,
                                    .redirects = 2 };
}

static void tells_no_other_server(void **state)
{
    struct core_http_client *client = quick_client(NULL);
    struct stage here, there;
    RC_STR_AUTO near = NULL;
    RC_STR_AUTO far = NULL;
    struct outcome got;

    (void)state;
    stage_start(&there, show, NULL);
    far = rc_strf("%s/locked", there.listener.url);
    stage_start(&here, show, far);
    near = rc_strf("%s/to", here.listener.url);
    for (int auth = CORE_HTTP_AUTH_ANY; auth <= CORE_HTTP_AUTH_DIGEST; auth++) {
        struct core_http_call call = who(client, near);

        call.auth = (enum core_http_auth)auth;
        ask(call, &got);
        assert_int_equal(got.code, RC_OK);
        assert_int_equal(got.answer.status, 401);
        core_http_answer_clear(&got.answer);
    }
    assert_int_equal(atomic_load(&there.requests), 3);
    stage_stop(&here);
    stage_stop(&there);

    /* The same server, whatever it says of users on the way. */
    stage_start(&here, show, NULL);
    RC_STR_AUTO back = rc_strf("http://eve:other@%s/", here.listener.url + strlen("http://"));
    RC_STR_AUTO url = rc_strf("%s/to", here.listener.url);
    here.context = back;
    ask(who(client, url), &got);
    assert_int_equal(got.answer.status, 200);
    assert_non_null(strstr(got.answer.body.data, BASIC));
    core_http_answer_clear(&got.answer);
    stage_stop(&here);
    core_http_client_free(client);
}

static void tells_it_of_nobody_else(void **state)
{
    struct core_http_client *client = quick_client(NULL);
    struct core_http_call call;
    struct stage stage;
    struct outcome got;

    (void)state;
    stage_start(&stage, show, NULL);
    RC_STR_AUTO url = rc_strf("http://eve:a%%40b@%s/path/@?q=@", stage.listener.url + 7);
    RC_STR_AUTO plain = rc_strf("%s/", stage.listener.url);
    ask(who(client, url), &got);
    assert_non_null(strstr(got.answer.body.data, BASIC));
    assert_non_null(strstr(got.answer.body.data, "GET /path/@?q=@ HTTP/1.1\r\n"));
    core_http_answer_clear(&got.answer);

    /* On the same connection, the next one is nobody. */
    call = who(client, plain);
    call.user = call.password = NULL;
    ask(call, &got);
    assert_null(strstr(got.answer.body.data, "Authorization"));
    core_http_answer_clear(&got.answer);
    call = who(client, plain);
    call.password = NULL; /* none is an empty one */
    ask(call, &got);
    assert_non_null(strstr(got.answer.body.data, "Authorization: Basic d2hvOg==\r\n"));
    core_http_answer_clear(&got.answer);
    assert_int_equal(atomic_load(&stage.connections), 1);
    stage_stop(&stage);
    core_http_client_free(client);
}

static void tells_nothing_in_the_clear_unasked(void **state)
{
    struct core_http_client *client = quick_client(NULL);
    struct stage stage;
    struct outcome got;

    (void)state;
    stage_start(&stage, show, NULL);
    RC_STR_AUTO open = rc_strf("%s/", stage.listener.url);
    RC_STR_AUTO locked = rc_strf("%s/locked", stage.listener.url);
    for (int i = 0; i < 4; i++) {
        struct core_http_call call = who(client, i % 2 ? locked : open);

        call.auth = i / 2 ? CORE_HTTP_AUTH_ANY : CORE_HTTP_AUTH_DIGEST;
        ask(call, &got);
        assert_int_equal(got.answer.status, 200);
        assert_null(strstr(got.answer.body.data, "Basic"));
        assert_int_equal(strstr(got.answer.body.data, "Authorization: Digest") != NULL, i % 2);
        core_http_answer_clear(&got.answer);
    }
    stage_stop(&stage);
    core_http_client_free(client);
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

/* Asks for a digest, and breaks the connection once it has it; the first of each count of two. */
static bool break_off(const struct scene *scene, void *context)
{
    int *left = context;

    if (!strstr(scene->text, "Authorization")) {
        reply(scene, 401, DIGEST_CHALLENGE, "no");
        return true;
    }
    if ((*left)-- > 0)
        return false;
    reply(scene, 200, NULL, scene->body);
    return true;
}

static void is_not_repeated_but_for_the_challenge(void **state)
{
    static const struct {
        const char *method;
        enum core_http_repeat repeat;
        enum rc_code code;
        int requests;
    } cases[] = {
        { "POST", CORE_HTTP_REPEAT_NEVER, RC_UNAVAILABLE, 2 },
        { "POST", CORE_HTTP_REPEAT_BY_METHOD, RC_UNAVAILABLE, 2 },
        { "DELETE", CORE_HTTP_REPEAT_NEVER, RC_UNAVAILABLE, 2 },
        { "POST", CORE_HTTP_REPEAT_SAFE, RC_OK, 4 },
        { "PUT", CORE_HTTP_REPEAT_BY_METHOD, RC_OK, 4 },
        { "GET", CORE_HTTP_REPEAT_BY_METHOD, RC_OK, 4 },
    };

    (void)state;
    for (size_t i = 0; i < 2 * RC_ARRAY_LEN(cases); i++) {
        struct core_http_client *client = quick_client(NULL);
        bool has_body = strchr("P", cases[i / 2].method[0]) != NULL;
        struct core_http_call call;
        struct stage stage;
        struct outcome got;
        int left = 1;

        stage_start(&stage, break_off, &left);
        call = who(client, stage.listener.url);
        call.method = cases[i / 2].method;
        call.repeat = cases[i / 2].repeat;
        call.auth = i % 2 ? CORE_HTTP_AUTH_ANY : CORE_HTTP_AUTH_DIGEST;
        call.body = "body";
        call.body_len = has_body ? 4 : 0;
        ask(call, &got);
        assert_int_equal(got.code, cases[i / 2].code);
        assert_int_equal(atomic_load(&stage.requests), cases[i / 2].requests);
        assert_int_equal(got.answer.status, got.code ? 0 : 200);
        if (!got.code && has_body)
            assert_string_equal(got.answer.body.data, "body");
        core_http_answer_clear(&got.answer);
        core_http_client_free(client);
        stage_stop(&stage);
    }
}

static void refuses_users_that_cannot_be_told(void **state)
{
    static const struct {
        const char *user;
        enum core_http_auth auth;
        const char *message;
    } cases[] = {
        { "a\r\nX-Injected: b", CORE_HTTP_AUTH_DIGEST, "a line break" },
        { "a:b", CORE_HTTP_AUTH_BASIC, "a colon begins the password" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct core_http_call call = who(NULL, "http://127.0.0.1:1/");
        struct outcome got;

        call.user = cases[i].user;
        call.auth = cases[i].auth;
        ask(call, &got);
        assert_int_equal(got.code, RC_INVALID);
        assert_non_null(strstr(got.err.cause, cases[i].message));
        core_http_answer_clear(&got.answer);
    }
}

/* ---------------------------------------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proves_who_asks),
        cmocka_unit_test(is_refused_once),
        cmocka_unit_test(streams_what_needs_a_proof),
        cmocka_unit_test(tells_no_other_server),
        cmocka_unit_test(tells_it_of_nobody_else),
        cmocka_unit_test(tells_nothing_in_the_clear_unasked),
        cmocka_unit_test(is_not_repeated_but_for_the_challenge),
        cmocka_unit_test(refuses_users_that_cannot_be_told),
    };

    return cmocka_run_group_tests(tests, fill, NULL);
}
