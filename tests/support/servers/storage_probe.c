/*
 * Does with stores what lines of JSON on stdin say, and answers each with a line of JSON. A test
 * can so drive the storage layer, one process for many operations.
 *
 *     storage_probe [NAME=VALUE]...      of one store: bucket, endpoint, region, addressing, ...
 *
 *     {"do": "put", "uri": "s3://b/k", "file": "/tmp/x", "if_match": "..."}
 */
#include <config/json.h>
#include <config/secrets.h>
#include <storage/backend.h>
#include <storage/remote.h>
#include <storage/storage.h>

#include <run-core/str.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 20, ITEMS = 64 };

struct probe {
    struct core_storage *storage;
    const struct core_node *command;
    struct rc_buf out;
    struct rc_attributes attributes;
    struct rc_pair metadata[ITEMS], tags[ITEMS];
};

static const char *text(const struct core_node *map, const char *name)
{
    const struct core_node *node = core_node_get(map, name);

    return node && node->kind == CORE_NODE_SCALAR ? node->text : NULL;
}

static int64_t number(const struct core_node *map, const char *name, int64_t otherwise)
{
    const char *value = text(map, name);
    int64_t out;

    return value && rc_parse_int(value, &out) ? out : otherwise;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void add_name(struct rc_buf *out, const char *name)
{
    if (out->len > 0 && out->data[out->len - 1] != '{' && out->data[out->len - 1] != '[')
        rc_buf_adds(out, ", ");
    if (name) {
        rc_buf_add_json(out, name, strlen(name));
        rc_buf_adds(out, ": ");
    }
}

static void add_text(struct rc_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    add_name(out, name);
    rc_buf_add_json(out, value, strlen(value));
}

static void add_number(struct rc_buf *out, const char *name, int64_t value)
{
    add_name(out, name);
    rc_buf_addf(out, "%lld", (long long)value);
}

static void add_map(struct rc_buf *out, const char *name, const struct rc_map *map)
{
    add_name(out, name);
    rc_buf_addc(out, '{');
    for (size_t i = 0; i < map->len; i++)
        add_text(out, map->items[i].key, map->items[i].value);
    rc_buf_addc(out, '}');
}

static void add_stat(struct rc_buf *out, const struct rc_stat *stat)
{
    add_number(out, "size", stat->size_bytes);
    add_number(out, "modified", stat->modified_unix_ms);
    add_text(out, "etag", stat->etag);
}

static void add_error(struct rc_buf *out, const struct rc_error *err)
{
    RC_STR_AUTO message = rc_strf("%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);

    core_secret_mask(message);
    add_text(out, "error", rc_code_name(err->code));
    add_text(out, "message", message);
}

/* ---- options --------------------------------------------------------------------------------- */

static struct rc_map read_map(const struct core_node *node, struct rc_pair out[ITEMS])
{
    size_t count = 0;

    for (; node && count < node->len && count < ITEMS; count++)
        out[count] = (struct rc_pair){ node->entries[count].key, node->entries[count].value->text };
    return (struct rc_map){ .len = count, .items = out };
}

static const struct rc_attributes *read_attributes(struct probe *probe)
{
    const struct core_node *map = core_node_get(probe->command, "attributes");

    if (!map)
        return NULL;
    probe->attributes = (struct rc_attributes){
        .content_type = text(map, "content_type"),
        .content_encoding = text(map, "content_encoding"),
        .content_disposition = text(map, "content_disposition"),
        .content_language = text(map, "content_language"),
        .cache_control = text(map, "cache_control"),
        .storage_class = text(map, "storage_class"),
        .metadata = read_map(core_node_get(map, "metadata"), probe->metadata),
        .tags = read_map(core_node_get(map, "tags"), probe->tags),
    };
    return &probe->attributes;
}

static struct rc_put_options read_put(struct probe *probe)
{
    return (struct rc_put_options){
        .struct_bytes = sizeof(struct rc_put_options),
        .if_match = text(probe->command, "if_match"),
        .size_bytes = number(probe->command, "size", -1),
        .attributes = read_attributes(probe),
        .keep_attributes = text(probe->command, "keep") != NULL,
    };
}

/* ---- operations ------------------------------------------------------------------------------ */

static enum rc_code list(struct probe *probe, struct rc_error *err)
{
    const struct core_list_options options = {
        .plain = { .shallow = text(probe->command, "shallow") != NULL,
                   .start_after = text(probe->command, "start_after") },
        .versions = text(probe->command, "versions") != NULL,
    };
    int64_t limit = number(probe->command, "limit", INT64_MAX);
    bool counts = text(probe->command, "count") != NULL;
    struct rc_listing *listing;
    const struct core_listed *found;
    int64_t count = 0;
    enum rc_code code;

    if (core_storage_list_with(probe->storage, text(probe->command, "uri"), &options, &listing,
                               err))
        return err->code;
    if (!counts) {
        add_name(&probe->out, "items");
        rc_buf_addc(&probe->out, '[');
    }
    while (!(code = core_listing_next_listed(listing, &found, err)) && found && count < limit) {
        count++;
        if (counts)
            continue;
        add_name(&probe->out, NULL);
        rc_buf_addc(&probe->out, '{');
        add_text(&probe->out, "name", found->object.name);
        add_stat(&probe->out, &found->object.stat);
        add_text(&probe->out, "version", found->version);
        add_text(&probe->out, "storage_class", found->storage_class);
        add_number(&probe->out, "prefix", found->object.is_prefix);
        add_number(&probe->out, "latest", found->is_latest);
        add_number(&probe->out, "marker", found->is_delete_marker);
        rc_buf_addc(&probe->out, '}');
    }
    if (!counts)
        rc_buf_addc(&probe->out, ']');
    add_number(&probe->out, "count", count);
    core_listing_close(listing);
    return code;
}

static enum rc_code stat_object(struct probe *probe, struct rc_error *err)
{
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct rc_stat stat;

    if (core_storage_stat_with(probe->storage, text(probe->command, "uri"),
                               text(probe->command, "version"), &stat, &detail, err))
        return err->code;
    add_stat(&probe->out, &stat);
    add_text(&probe->out, "content_type", detail.attributes.content_type);
    add_text(&probe->out, "content_encoding", detail.attributes.content_encoding);
    add_text(&probe->out, "content_disposition", detail.attributes.content_disposition);
    add_text(&probe->out, "content_language", detail.attributes.content_language);
    add_text(&probe->out, "cache_control", detail.attributes.cache_control);
    add_text(&probe->out, "storage_class", detail.attributes.storage_class);
    add_map(&probe->out, "metadata", &detail.attributes.metadata);
    add_text(&probe->out, "version", detail.version);
    add_text(&probe->out, "md5", detail.md5_hex);
    add_number(&probe->out, "has_tags", detail.has_tags);
    return RC_OK;
}

static enum rc_code copy_out(struct rc_reader *reader, int fd, struct rc_error *err)
{
    RC_STR_AUTO piece = rc_malloc(PIECE);
    size_t len;

    do {
        if (core_reader_read(reader, piece, PIECE, &len, err))
            return err->code;
        for (size_t done = 0; done < len;) {
            ssize_t now = write(fd, piece + done, len - done);

            if (now < 0)
                return rc_fail(err, RC_FAILED, "the file cannot be written");
            done += (size_t)now;
        }
    } while (len > 0);
    return RC_OK;
}

static enum rc_code get(struct probe *probe, struct rc_error *err)
{
    const struct core_range range = {
        .offset_bytes = number(probe->command, "offset", 0),
        .len_bytes = number(probe->command, "len", -1),
        .if_match = text(probe->command, "if_match"),
    };
    int fd = open(text(probe->command, "file"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct rc_reader *reader;
    enum rc_code code =
        core_storage_open_with(probe->storage, text(probe->command, "uri"),
                               text(probe->command, "version"), &range, &reader, err);

    if (!code) {
        add_stat(&probe->out, core_reader_stat(reader));
        code = copy_out(reader, fd, err);
        core_reader_close(reader);
    }
    (void)close(fd);
    return code;
}

static enum rc_code read_file(const char *path, struct rc_buf *out, struct rc_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = -1;

    while (fd >= 0) {
        char *room = rc_buf_reserve(out, PIECE);

        len = room ? read(fd, room, PIECE) : -1;
        if (len <= 0)
            break;
        rc_buf_added(out, (size_t)len);
    }
    if (fd >= 0)
        (void)close(fd);
    return len == 0 ? RC_OK : rc_fail(err, RC_FAILED, "'%s' cannot be read", path);
}

static enum rc_code put(struct probe *probe, struct rc_error *err)
{
    const struct rc_put_options options = read_put(probe);
    RC_BUF_AUTO(body, (size_t)1 << 30);
    struct rc_stat written;

    if (read_file(text(probe->command, "file"), &body, err) ||
        core_storage_put_with(probe->storage, text(probe->command, "uri"), body.data, body.len,
                              &options, &written, err))
        return err->code;
    add_stat(&probe->out, &written);
    return RC_OK;
}

/* "give_up" ends it before the commit. */
static enum rc_code stream(struct probe *probe, struct rc_error *err)
{
    const struct rc_put_options options = read_put(probe);
    RC_BUF_AUTO(body, (size_t)1 << 30);
    size_t piece = (size_t)number(probe->command, "piece", PIECE);
    struct rc_writer *writer;
    enum rc_code code;

    if (read_file(text(probe->command, "file"), &body, err) ||
        core_storage_create_with(probe->storage, text(probe->command, "uri"), &options, &writer,
                                 err))
        return err->code;
    code = RC_OK;
    for (size_t done = 0; done < body.len && !code; done += piece) {
        size_t left = body.len - done;

        code = core_writer_write(writer, body.data + done, left < piece ? left : piece, err);
    }
    if (!code && !text(probe->command, "give_up"))
        code = core_writer_commit(writer, err);
    if (!code)
        add_stat(&probe->out, core_writer_stat(writer));
    core_writer_close(writer);
    return code;
}

static enum rc_code copy(struct probe *probe, struct rc_error *err)
{
    const struct core_copy_options options = {
        .source_if_match = text(probe->command, "source_if_match"),
        .if_match = text(probe->command, "if_match"),
        .attributes = read_attributes(probe),
        .size_bytes = number(probe->command, "size", -1),
    };
    struct rc_stat written;

    if (core_storage_copy_with(probe->storage, text(probe->command, "uri"),
                               text(probe->command, "version"), text(probe->command, "target"),
                               &options, &written, err))
        return err->code;
    add_stat(&probe->out, &written);
    return RC_OK;
}

static enum rc_code move(struct probe *probe, struct rc_error *err)
{
    return core_storage_move(probe->storage, text(probe->command, "uri"),
                             text(probe->command, "target"), err);
}

static void tell_failed(void *context, size_t index, const struct rc_error *err)
{
    struct rc_buf *out = context;

    add_name(out, NULL);
    rc_buf_addc(out, '{');
    add_number(out, "index", (int64_t)index);
    add_error(out, err);
    rc_buf_addc(out, '}');
}

static enum rc_code remove_all(struct probe *probe, struct rc_error *err)
{
    const struct core_node *uris = core_node_get(probe->command, "uris");
    const struct core_node *versions = core_node_get(probe->command, "versions");
    const struct core_remove_report report = { tell_failed, &probe->out };
    const char **where = rc_calloc(uris->len + 1, sizeof(*where));
    const char **which = rc_calloc(uris->len + 1, sizeof(*which));
    enum rc_code code;

    for (size_t i = 0; i < uris->len; i++) {
        where[i] = uris->items[i]->text;
        which[i] = versions ? versions->items[i]->text : NULL;
    }
    add_name(&probe->out, "failed");
    rc_buf_addc(&probe->out, '[');
    code = core_storage_remove_with(probe->storage, where, versions ? which : NULL, uris->len,
                                    text(probe->command, "first_only") ? NULL : &report, err);
    rc_buf_addc(&probe->out, ']');
    free(where);
    free(which);
    return code;
}

static enum rc_code remove_one(struct probe *probe, struct rc_error *err)
{
    const struct rc_remove_options options = {
        .struct_bytes = sizeof(options),
        .if_match = text(probe->command, "if_match"),
        .version = text(probe->command, "version"),
    };

    return core_storage_remove_one(probe->storage, text(probe->command, "uri"), &options, err);
}

static enum rc_code sweep(struct probe *probe, struct rc_error *err)
{
    const struct core_sweep all = {
        .from_unix_ms = number(probe->command, "from", 0),
        .before_unix_ms = number(probe->command, "before", INT64_MAX),
        .is_exact = number(probe->command, "exact", 0) != 0,
    };
    int64_t swept;

    if (core_storage_sweep(probe->storage, text(probe->command, "uri"), &all, &swept, err))
        return err->code;
    add_number(&probe->out, "swept", swept);
    return RC_OK;
}

static void add_answer(struct rc_buf *out, const char *name, enum rc_answer answer)
{
    add_text(out, name,
             answer == RC_ANSWER_YES  ? "yes"
             : answer == RC_ANSWER_NO ? "no"
                                      : "unknown");
}

static enum rc_code look_bucket(struct probe *probe, struct rc_error *err)
{
    struct rc_bucket bucket;

    if (core_storage_bucket_look(probe->storage, text(probe->command, "uri"), &bucket, err))
        return err->code;
    add_text(&probe->out, "name", bucket.name);
    add_answer(&probe->out, "exists", bucket.exists);
    add_answer(&probe->out, "encrypted", bucket.encrypted);
    add_text(&probe->out, "encryption", bucket.encryption);
    add_text(&probe->out, "encrypted_note", bucket.encrypted_note);
    add_answer(&probe->out, "expires", bucket.expires);
    add_number(&probe->out, "days", bucket.expire_days);
    add_text(&probe->out, "expires_note", bucket.expires_note);
    add_answer(&probe->out, "public", bucket.is_public);
    add_text(&probe->out, "public_note", bucket.public_note);
    return RC_OK;
}

static enum rc_code create_bucket(struct probe *probe, struct rc_error *err)
{
    return core_storage_bucket_create(probe->storage, text(probe->command, "uri"), err);
}

static enum rc_code remove_bucket(struct probe *probe, struct rc_error *err)
{
    return core_storage_bucket_remove(probe->storage, text(probe->command, "uri"), err);
}

static enum rc_code encrypt_bucket(struct probe *probe, struct rc_error *err)
{
    return core_storage_bucket_encrypt(probe->storage, text(probe->command, "uri"), err);
}

static enum rc_code expire_bucket(struct probe *probe, struct rc_error *err)
{
    return core_storage_bucket_expire(probe->storage, text(probe->command, "uri"),
                                      number(probe->command, "days", 0), err);
}

static const struct {
    const char *name;
    enum rc_code (*run)(struct probe *probe, struct rc_error *err);
} operations[] = {
    { "list", list },
    { "stat", stat_object },
    { "get", get },
    { "put", put },
    { "stream", stream },
    { "copy", copy },
    { "remove", remove_all },
    { "remove_one", remove_one },
    { "sweep", sweep },
    { "move", move },
    { "look_bucket", look_bucket },
    { "create_bucket", create_bucket },
    { "remove_bucket", remove_bucket },
    { "encrypt_bucket", encrypt_bucket },
    { "expire_bucket", expire_bucket },
};

static void run(struct probe *probe, const char *line, size_t len)
{
    CORE_PROBLEMS_AUTO(problems);
    struct core_arena arena = CORE_ARENA_INIT;
    struct rc_error err = RC_ERROR_INIT;
    const char *name;

    probe->command = core_json_read(&arena, "stdin", line, len, &problems);
    rc_buf_reset(&probe->out);
    rc_buf_addc(&probe->out, '{');
    name = text(probe->command, "do");
    for (size_t i = 0; i < RC_ARRAY_LEN(operations); i++)
        if (rc_str_eq(operations[i].name, name) && operations[i].run(probe, &err))
            add_error(&probe->out, &err);
    rc_buf_addc(&probe->out, '}');
    puts(probe->out.data);
    (void)fflush(stdout);
    core_arena_clear(&arena);
}

/* ---- the store ------------------------------------------------------------------------------- */

static int choose(const char *value, const char *const *names)
{
    int at = 0;

    while (names[at] && !rc_str_eq(names[at], value))
        at++;
    return at;
}

static void set(struct core_store_settings *store, const char *name, const char *value)
{
    static const char *const addressings[] = { "auto", "path", "virtual", NULL };
    static const char *const encryptions[] = { "none", "AES256", "aws:kms", "customer", NULL };
    const struct {
        const char *name;
        const char **where;
    } texts[] = {
        { "bucket", &store->bucket },
        { "url", &store->url },
        { "region", &store->region },
        { "endpoint", &store->endpoint },
        { "access_key_id", &store->access_key_id },
        { "secret_access_key", &store->secret_access_key },
        { "session_token", &store->session_token },
        { "profile", &store->profile },
        { "ca_file", &store->ca_file },
        { "storage_class", &store->storage_class },
        { "sse_kms_key", &store->sse_kms_key },
        { "sse_customer_key", &store->sse_customer_key },
        { "access_token", &store->access_token },
        { "service_account_file", &store->service_account_file },
        { "user_project", &store->user_project },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++)
        if (rc_str_eq(texts[i].name, name))
            *texts[i].where = value;
    if (rc_str_eq(name, "addressing"))
        store->addressing = choose(value, addressings);
    if (rc_str_eq(name, "sse"))
        store->sse = choose(value, encryptions);
    if (rc_str_eq(name, "part_bytes"))
        (void)rc_parse_int(value, &store->part_bytes);
    if (rc_str_eq(name, "anonymous"))
        (void)rc_parse_bool(value, &store->anonymous);
    if (rc_str_eq(name, "request_payer"))
        (void)rc_parse_bool(value, &store->request_payer);
}

int main(int argc, char **argv)
{
    struct core_settings settings = {
        .http = { .attempts = 5, .backoff_ms = 5, .max_backoff_ms = 50, .idle_ms = 3000 },
    };
    struct core_store_settings store = { .name = "probed" };
    struct core_remote *remote;
    struct probe probe = { .out = RC_BUF_INIT((size_t)1 << 30) };
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;

    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');

        if (value) {
            *value++ = '\0';
            set(&store, argv[i], value);
        }
    }
    core_secret_add(store.secret_access_key);
    core_secret_add(store.sse_customer_key);
    remote = core_remote_new(&settings, NULL, NULL);
    probe.storage = core_storage_new(&store, 1, remote, NULL);
    while ((len = getline(&line, &capacity, stdin)) > 0)
        run(&probe, line, (size_t)len);
    free(line);
    rc_buf_clear(&probe.out);
    core_storage_free(probe.storage);
    core_remote_free(remote);
    return 0;
}
