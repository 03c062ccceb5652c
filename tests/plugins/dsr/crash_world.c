/*
 * The lake, its runs and what is expected of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crash_world.h"
#include "elsewhere_sql.h"
#include "users_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FILE_B LAKE "shard=7/day=2024-10-02/b.parquet"
#define FILE_C LAKE "shard=7/day=2024-10-02/c.parquet"
#define FILE_D LAKE "shard=7/day=2024-10-05/d.parquet"
#define FILE_E LAKE "shard=8/day=2024-10-01/e.parquet"
#define NOTES LAKE "shard=7/day=2024-10-01/notes.txt"

enum { FILE_LIMIT = 1 << 20 };

extern const struct rc_plugin *const rc_plugin_descriptor;

/* ---- what there is -------------------------------------------------------------------------- */

const struct file files[FILES] = {
    { FILE_A, { "ada", "kim", "bob", "leo", "ada", "max" }, 'a', true },
    { FILE_B, { "bob", "ada", "bob" }, 'b', true }, /* nothing of it remains */
    { FILE_C, { "kim", "leo" }, 'c', true },
    { FILE_D, { "ada", "kim" }, 'd', false },
    { FILE_E, { "ada", "kim", "bob" }, 'e', true },
};

const char *const markers[MARKED] = {
    "shard=7/day=2024-10-01/_user_ada_day_2024-10-09",
    "shard=7/day=2024-10-02/_user_bob_day_2024-10-09",
    "shard=8/day=2024-10-01/_user_ada_day_2024-10-09",
};

/* Of the shard's users: in shard 8 nobody has asked to erase Bob. */
static bool is_erased(const struct file *file, const char *id)
{
    return file->is_cleaned &&
           (rc_str_eq(id, "ada") || (rc_str_eq(id, "bob") && file->letter != 'e'));
}

static const struct {
    const char *user;
    int shard;
    int64_t rows;
} record[] = { { "ada", 7, 3 }, { "bob", 7, 3 }, { "ada", 8, 1 } };

static size_t count_of(const struct file *file)
{
    size_t count = 0;

    while (file->ids[count])
        count++;
    return count;
}

static void text_of(const struct file *file, size_t row, char out[16])
{
    (void)snprintf(out, 16, "text-%c-%03zu", file->letter, row);
}

void put_file(struct rc_fake_host *host, const struct file *file)
{
    char texts[ROWS][16];
    const char *pointers[ROWS];
    size_t count = count_of(file);
    struct maker maker;

    for (size_t i = 0; i < count; i++) {
        text_of(file, i, texts[i]);
        pointers[i] = texts[i];
    }
    const struct users_column columns[] = {
        { .path = "id", .type = PQ_BYTE_ARRAY, .texts = file->ids },
        { .path = "text", .type = PQ_BYTE_ARRAY, .texts = pointers },
    };
    (void)users_file(&maker, columns, RC_ARRAY_LEN(columns), count, 4);
    rc_fake_host_put(host, file->uri, maker.bytes.data, maker.bytes.len);
    maker_clear(&maker);
}

static void put_markers(struct rc_fake_host *host)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(markers); i++) {
        RC_STR_AUTO uri = rc_strf(MARKERS "%s", markers[i]);

        rc_fake_host_put(host, uri, "", 0);
    }
}

/* ---- the stand-in for the engine ------------------------------------------------------------ */

int64_t engine_lies;

/* Any number of sessions, none of which keeps anything. */
struct rc_sql {
    char nothing;
};

static struct rc_sql engine;

struct one_row {
    struct rc_rows rows;
    struct rc_value value;
    bool given;
};

/* Where a text stands as a plain value, with its length before it. */
static const char *find_value(const char *data, size_t len, const char *text)
{
    char value[24];
    size_t value_len = strlen(text);

    RC_ASSERT(value_len < sizeof(value) - 4);
    memcpy(value, (const char[]){ (char)value_len, 0, 0, 0 }, 4);
    memcpy(value + 4, text, value_len);
    return memmem(data, len, value, value_len + 4);
}

static int64_t count_values(const char *data, size_t len, const char *text)
{
    const char *at = data;
    int64_t count = 0;

    while ((at = find_value(at, len - (size_t)(at - data), text))) {
        count++;
        at++;
    }
    return count;
}

static int64_t count_in_file(const char *path, const char *user)
{
    char *data = rc_malloc(FILE_LIMIT);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = pread(fd, data, FILE_LIMIT, 0);
    int64_t count;

    assert_true(fd >= 0 && len >= 0);
    (void)close(fd);
    count = count_values(data, (size_t)len, user);
    free(data);
    return count;
}

/* Whose rows are looked for: the shard that the run is at. */
static int32_t current_shard;

static int64_t count_rows(const char *statement)
{
    int64_t count = 0;

    for (const char *at = statement; (at = strstr(at, "'/proc/self/fd/"));) {
        const char *end = strchr(at + 1, '\'');
        RC_STR_AUTO path = rc_strndup(at + 1, (size_t)(end - at - 1));

        count += count_in_file(path, "ada");
        count += current_shard == 7 ? count_in_file(path, "bob") : 0;
        at = end + 1;
    }
    return count + engine_lies;
}

static enum rc_code row_next(struct rc_rows *rows, const struct rc_value **row,
                             struct rc_error *err)
{
    struct one_row *self = (struct one_row *)rows;

    (void)err;
    *row = self->given ? NULL : &self->value;
    self->given = true;
    return RC_OK;
}

static size_t row_columns(const struct rc_rows *rows, const char *const **names)
{
    (void)rows;
    (void)names;
    return 1;
}

static void row_close(struct rc_rows *rows)
{
    free(rows);
}

static enum rc_code sql_open_with(struct rc_job *job, const struct rc_sql_options *options,
                                  struct rc_sql **out, struct rc_error *err)
{
    (void)job;
    (void)options;
    (void)err;
    *out = &engine;
    return RC_OK;
}

static uint32_t sql_features(struct rc_sql *sql)
{
    (void)sql;
    return RC_SQL_FILES | RC_SQL_ORDERED | RC_SQL_CSV;
}

static void sql_close(struct rc_sql *sql)
{
    (void)sql;
}

static enum rc_code sql_exec(struct rc_sql *sql, const char *statement,
                             const struct rc_value *params, size_t param_count, int64_t *changed,
                             struct rc_error *err)
{
    (void)sql;
    (void)statement;
    (void)params;
    (void)param_count;
    (void)err;
    if (changed)
        *changed = 0;
    return RC_OK;
}

static enum rc_code sql_query(struct rc_sql *sql, const char *statement,
                              const struct rc_value *params, size_t param_count,
                              struct rc_rows **out, struct rc_error *err)
{
    static const struct rc_rows_api api = { .next = row_next,
                                            .columns = row_columns,
                                            .close = row_close };
    struct one_row *row;

    (void)sql;
    (void)params;
    (void)param_count;
    if (!strstr(statement, "users_rows"))
        return rc_fail(err, RC_UNSUPPORTED, "the stand-in does not know '%s'", statement);
    row = rc_calloc(1, sizeof(*row));
    row->rows.api = &api;
    row->value = rc_value_int(count_rows(statement));
    *out = &row->rows;
    return RC_OK;
}

static const struct rc_sql_api sql_api = {
    .close = sql_close,
    .exec = sql_exec,
    .query = sql_query,
    .open_with = sql_open_with,
    .features = sql_features,
};

/* Of one that is elsewhere: the rows and those of the shard's users, by the bytes of the object. */
static bool look(void *context, const char *uri, int64_t *rows, int64_t *users_rows)
{
    static const char text[] = { 10, 0, 0, 0, 't', 'e', 'x', 't', '-' };
    size_t len;
    const char *data = rc_fake_host_object(elsewhere.host, uri, &len);

    (void)context;
    if (len < 12 || memcmp(data, "PAR1", 4) != 0)
        return false;
    *rows = 0;
    for (const char *at = data; (at = memmem(at, len - (size_t)(at - data), text, sizeof(text)));
         at++)
        (*rows)++;
    *users_rows = count_values(data, len, "ada");
    if (strstr(uri, "/shard=7/"))
        *users_rows += count_values(data, len, "bob");
    return true;
}

/* ---- runs ----------------------------------------------------------------------------------- */

struct rc_fake_host *new_world(unsigned flags)
{
    static struct rc_host base_host;
    static struct rc_job base = {
        .host = &base_host,
        .log_level = RC_LOG_DEBUG,
        .attempt = 1,
        .run_id = "crash-1",
        .plugin = "dsr",
        .action = "cleanup",
        .time_zone = "UTC",
        .working_dir = "/crash",
    };
    struct rc_fake_host *host;

    base_host.sql = flags & ELSEWHERE ? elsewhere_sql_api() : &sql_api;
    host = rc_fake_host_new(&base);
    elsewhere_begin(host);
    elsewhere.look = look;
    if (flags & VERSIONS)
        rc_fake_host_version_bucket(host, "s3://b/");
    for (size_t i = 0; i < RC_ARRAY_LEN(files); i++)
        put_file(host, &files[i]);
    rc_fake_host_put(host, NOTES, "ada and bob", 11);
    put_markers(host);
    return host;
}

enum rc_code clean(struct rc_fake_host *host, unsigned flags, struct rc_error *err)
{
    const char *const settings[] = {
        "markersBaseFolder=s3://b/markers",
        "markersArchiveFolder=s3://b/archive",
        "tempFolder=s3://b/kept",
        "cleanupTables[0].piTable=events",
        "cleanupTables[0].userIdColumn=id",
        "cleanupTables[0].sourceS3Folder=s3://b/events",
        flags & ELSEWHERE ? "verify=auto" : "verify=values",
        flags & THREADS ? "width=4" : "width=1",
        "report_salt=salt",
        flags & KEEPS ? "backupOriginal=true" : "backupOriginal=false",
        flags & REMOVES ? "delete_old_versions=true" : "delete_old_versions=false",
        flags & THREADS ? "shards=7" : NULL,
        NULL,
    };
    struct timespec now;

    /* Uploads of the fake host begin at the job's time, which has to lie behind the intent's. */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    rc_fake_host_job(host)->now_unix_ms = (int64_t)now.tv_sec * 1000 + 5000;
    rc_fake_host_set_threads(host, flags & THREADS);
    return rc_fake_host_run(host, rc_plugin_descriptor, "cleanup", settings, err);
}

/* Follows the shard that a run is at; every hook below calls it. */
void follow(const char *service, const char *subject)
{
    if (rc_str_eq(service, "lock.acquire"))
        current_shard = strstr(subject, "shard 7") ? 7 : 8;
}

void only_follow(void *context, struct rc_fake_host *host, int n, const char *service,
                 const char *subject)
{
    (void)context;
    (void)host;
    (void)n;
    follow(service, subject);
}

/* No file in the scratch directory has a name, dead or alive. */
void assert_no_names(struct rc_fake_host *host)
{
    const char *path = rc_fake_host_temp_dir(host);
    DIR *folder = path ? opendir(path) : NULL;
    struct dirent *entry;

    while (folder && (entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            fail_msg("'%s' has a name", entry->d_name);
    if (folder)
        (void)closedir(folder);
}

/* ---- what there has to be at any time ------------------------------------------------------- */

bool is_file(struct rc_fake_host *host, const struct file *file, bool is_clean)
{
    size_t len = 0, kept = 0;
    const char *data = rc_fake_host_object(host, file->uri, &len), *last = data;

    for (size_t i = 0; i < count_of(file); i++)
        kept += !is_clean || !is_erased(file, file->ids[i]);
    if (!data)
        return kept == 0;
    if (kept == 0 || len < 12 || memcmp(data, "PAR1", 4) != 0 ||
        memcmp(data + len - 4, "PAR1", 4) != 0)
        return false;
    for (size_t i = 0; i < count_of(file); i++) {
        bool stays = !is_clean || !is_erased(file, file->ids[i]);
        char text[16];
        const char *at;

        text_of(file, i, text);
        at = find_value(data, len, text);
        if (count_values(data, len, text) != stays || (stays && at < last))
            return false;
        /* Not in statistics or anywhere else either. */
        if (!stays && memmem(data, len, text, strlen(text)))
            return false;
        last = stays ? at : last;
    }
    return true;
}

void assert_sound(struct rc_fake_host *host)
{
    const char *archived = rc_fake_host_objects(host, ARCHIVE "shard=");
    bool is_archived[2] = { strstr(archived, "shard=7/"), strstr(archived, "shard=8/") };

    for (size_t i = 0; i < RC_ARRAY_LEN(files); i++) {
        bool has_to = files[i].is_cleaned && is_archived[files[i].letter == 'e'];

        if (!is_file(host, &files[i], true) && (has_to || !is_file(host, &files[i], false)))
            fail_msg("'%s' is neither the old file nor the new one%s", files[i].uri,
                     has_to ? ", and its markers are archived" : "");
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(markers); i++) {
        RC_STR_AUTO from = rc_strf(MARKERS "%s", markers[i]);
        RC_STR_AUTO to = rc_strf(ARCHIVE "%s", markers[i]);

        assert_true(rc_fake_host_object(host, from, NULL) || rc_fake_host_object(host, to, NULL));
    }
    assert_no_names(host);
}

/* ---- what there has to be in the end --------------------------------------------------------- */

/* HMAC-SHA-256 with the key "salt", by another program. */
static const char *hashed(const char *user)
{
    return rc_str_eq(user, "ada")
               ? "hmac-sha256:eea2850d559a1b7c80da278f4a293ffa47a4861eecd409863ed74ec9aec245fa"
               : "hmac-sha256:876ccb7de6bc3ec9b3a2cdc487035159f0121db7e0cd844d26b33cf7fcb4c9dd";
}

int64_t recorded(struct rc_fake_host *host, const char *user, int shard)
{
    RC_STR_AUTO names = rc_strdup(rc_fake_host_objects(host, ARCHIVE "dsr-report/"));
    int64_t rows = 0;

    for (char *name = names, *end; *name; name = end + 1) {
        end = strchr(name, '\n');
        *end = '\0';
        for (const char *line = rc_fake_host_object(host, name, NULL); *line;) {
            json_t *entry = json_loadb(line, strcspn(line, "\n"), 0, NULL);

            assert_non_null(entry);
            if (rc_str_eq(json_string_value(json_object_get(entry, "user")), hashed(user)) &&
                json_integer_value(json_object_get(entry, "shard")) == shard)
                rows += json_integer_value(json_object_get(entry, "rows"));
            json_decref(entry);
            line += strcspn(line, "\n");
            line += *line == '\n';
        }
    }
    return rows;
}

void assert_record(struct rc_fake_host *host)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(record); i++) {
        int64_t rows = recorded(host, record[i].user, record[i].shard);

        if (rows != record[i].rows)
            fail_msg("the record has %lld rows of %s in shard %d, not %lld", (long long)rows,
                     record[i].user, record[i].shard, (long long)record[i].rows);
    }
}

void assert_tidy(struct rc_fake_host *host)
{
    RC_BUF_AUTO(archived, 1 << 16);

    assert_string_equal(rc_fake_host_objects(host, MARKERS), "");
    for (size_t i = 0; i < RC_ARRAY_LEN(markers); i++)
        rc_buf_addf(&archived, ARCHIVE "%s\n", markers[i]);
    assert_string_equal(rc_fake_host_objects(host, ARCHIVE "shard="), archived.data);
    assert_string_equal(rc_fake_host_objects(host, BACKUPS), "");
    assert_null(strstr(rc_fake_host_versions(host, BACKUPS), BACKUPS));
    assert_string_equal(rc_fake_host_pending(host), "");
    assert_string_equal(rc_fake_host_object(host, NOTES, NULL), "ada and bob");
    assert_no_names(host);
}

void assert_clean(struct rc_fake_host *host)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(files); i++)
        if (!is_file(host, &files[i], true))
            fail_msg("'%s' is not as it should be", files[i].uri);
    assert_tidy(host);
}

void finish(struct rc_fake_host *host, unsigned flags)
{
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_revive(host);
    rc_fake_host_on_call(host, only_follow, NULL);
    if (clean(host, flags, &err))
        fail_msg("the last run failed: %s: %s", err.context, err.cause);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

void assert_ends_well(struct rc_fake_host *host, unsigned flags)
{
    assert_sound(host);
    finish(host, flags);
    assert_clean(host);
    assert_record(host);
}

int undisturbed_calls(unsigned flags)
{
    struct rc_fake_host *host = new_world(flags);
    int calls;

    finish(host, flags);
    calls = rc_fake_host_calls(host);
    assert_clean(host);
    assert_record(host);
    rc_fake_host_free(host);
    return calls;
}

void die(struct rc_fake_host *host, unsigned flags, int n, bool after)
{
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_revive(host);
    rc_fake_host_on_call(host, only_follow, NULL);
    rc_fake_host_die_at(host, n, after);
    assert_int_not_equal(clean(host, flags, &err), RC_OK);
    assert_true(rc_fake_host_is_dead(host));
    assert_sound(host);
}
