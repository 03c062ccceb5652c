/*
 * A lane: a libcurl handle in a multi handle of its own, which keeps the connection from one
 * request to the next. What is the same for all requests of a lane is set here, once.
 */
#include <http/client_internal.h>

#include <http/sigpipe.h>

#include <run-core/str.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECEIVE_BYTES = 256 * 1024,
    SEND_BYTES = 256 * 1024,
    KEEPALIVE_S = 30,
    EXPECT_MS = 1000,  /* for a "100 Continue" from a server that knows it */
    CONNECTION_S = 60, /* idle; servers commonly close theirs about then */
};

#define SYSTEM_FOLDER "/etc/ssl/certs"

/* ---- what lanes share ------------------------------------------------------------------------ */

static void lock_share(CURL *easy, curl_lock_data data, curl_lock_access access, void *client)
{
    (void)easy;
    (void)access;
    (void)pthread_mutex_lock(&((struct core_http_client *)client)->share_mutexes[data]);
}

static void unlock_share(CURL *easy, curl_lock_data data, void *client)
{
    (void)easy;
    (void)pthread_mutex_unlock(&((struct core_http_client *)client)->share_mutexes[data]);
}

/* The addresses of names, and TLS sessions, which save half a handshake. */
static CURLSH *share_of(struct core_http_client *client, const struct core_curl *curl)
{
    CURLSH *share;

    (void)pthread_mutex_lock(&client->mutex);
    if (!client->share) {
        client->share = curl->share_init();
        if (!client->share)
            rc_out_of_memory(sizeof(*client));
        (void)curl->share_setopt(client->share, CURLSHOPT_LOCKFUNC, lock_share);
        (void)curl->share_setopt(client->share, CURLSHOPT_UNLOCKFUNC, unlock_share);
        (void)curl->share_setopt(client->share, CURLSHOPT_USERDATA, client);
        (void)curl->share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
        (void)curl->share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    }
    share = client->share;
    (void)pthread_mutex_unlock(&client->mutex);
    return share;
}

/* ---- options --------------------------------------------------------------------------------- */

/* Whether OpenSSL would find certificates in that folder, by the hashes of their names. */
static bool has_hashed_files(const char *folder)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    bool found = false;

    while (entries && !found && (entry = readdir(entries)) != NULL)
        found = strlen(entry->d_name) == strlen("01234567.0") && rc_str_ends(entry->d_name, ".0");
    if (entries)
        (void)closedir(entries);
    return found;
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/*
 * Certificates that somebody names are trusted in place of the system's: what is not set here would
 * stay libcurl's own. Of the system's the folder is enough, and its file with all of them would be
 * read by each lane, which takes 30 ms on Debian.
 */
static void set_certificates(const struct lane *lane, const struct core_http_client *client,
                             const struct core_http_call *call)
{
    const char *file = call->ca_file ? call->ca_file : client ? client->settings.ca_file : NULL;
    const char *folder = NULL;

    if (!file) {
        folder = environment("SSL_CERT_DIR");
        file = environment("CURL_CA_BUNDLE");
        file = file ? file : environment("SSL_CERT_FILE");
    }
    if (!file && !folder && has_hashed_files(SYSTEM_FOLDER))
        folder = SYSTEM_FOLDER;
    if (!file && !folder)
        return;
    (void)lane->curl->easy_setopt(lane->easy, CURLOPT_CAINFO, file);
    (void)lane->curl->easy_setopt(lane->easy, CURLOPT_CAPATH, folder);
}

static void set_way(const struct lane *lane, const struct core_http_client *client,
                    const struct core_http_call *call)
{
    const struct core_curl *curl = lane->curl;
    CURL *easy = lane->easy;

    if (call->socket_path)
        (void)curl->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, call->socket_path);
    if (call->socket_path || call->direct) {
        (void)curl->easy_setopt(easy, CURLOPT_PROXY, "");
    } else if (client && client->settings.proxy) {
        (void)curl->easy_setopt(easy, CURLOPT_PROXY, client->settings.proxy);
    }
    (void)curl->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    (void)curl->easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
    (void)curl->easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
    (void)curl->easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)CONNECTION_S);
    if (client)
        (void)curl->easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    (void)curl->easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BYTES);
}

static void set_rules(const struct lane *lane)
{
    const struct core_curl *curl = lane->curl;
    CURL *easy = lane->easy;

    (void)curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl->easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* "a/../b" may be an object's key */
    (void)curl->easy_setopt(easy, CURLOPT_USERAGENT, "run-core");
    (void)curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, (long)EXPECT_MS);
    /* A name that takes long to resolve does not hold up who was asked to stop. */
    (void)curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static void make_handle(struct lane *lane, const struct core_http_call *call)
{
    struct core_http_client *client = call->client;

    lane->easy = lane->curl->easy_init();
    if (!lane->easy)
        rc_out_of_memory(sizeof(*lane));
    if (client)
        (void)lane->curl->easy_setopt(lane->easy, CURLOPT_SHARE, share_of(client, lane->curl));
    set_certificates(lane, client, call);
    set_way(lane, client, call);
    set_rules(lane);
}

/* The connection belongs to the multi handle. */
void core_http_lane_renew(struct lane *lane, const struct core_http_call *call)
{
    lane->curl->easy_cleanup(lane->easy);
    lane->has_proofs = false;
    make_handle(lane, call);
}

enum rc_code core_http_lane_new(const struct core_http_call *call, struct lane **out,
                                struct rc_error *err)
{
    const struct core_curl *curl;
    struct lane *lane;

    *out = NULL;
    if (core_curl_load(&curl, err))
        return err->code;
    lane = rc_calloc(1, sizeof(*lane));
    lane->curl = curl;
    lane->multi = curl->multi_init();
    if (!lane->multi)
        rc_out_of_memory(sizeof(*lane));
    make_handle(lane, call);
    *out = lane;
    return RC_OK;
}

void core_http_lane_free(struct lane *lane)
{
    struct core_sigpipe guard;

    if (!lane)
        return;
    core_sigpipe_hold(&guard, true); /* TLS takes leave of the server */
    lane->curl->easy_cleanup(lane->easy);
    (void)lane->curl->multi_cleanup(lane->multi);
    core_sigpipe_release(&guard);
    free(lane);
}
