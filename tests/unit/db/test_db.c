/*
 * The state database: places, migrations, statements, the walls around a plugin's schema, faults.
 */
#include <db/db.h>

#include <os/file.h>
#include <run-core/str.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static struct core_db *db;

static const struct rc_migration notes[] = {
    { 1, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, done BOOLEAN);"
         "CREATE TABLE marks (note INTEGER REFERENCES notes (id));" },
    { 2, "ALTER TABLE notes ADD COLUMN size REAL; -- of the text\n"
         "INSERT INTO notes (id, text) VALUES (1, 'first');" },
};

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

static int set_up(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    (void)umask(022);
    (void)snprintf(folder, sizeof(folder), "/tmp/db-test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    RC_STR_AUTO place = rc_strf("%s/state", folder);
    return core_db_open(place, &db, &err) == RC_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    core_db_close(db);
    return core_tree_remove(folder, &err) == RC_OK ? 0 : -1;
}

static char *path(const char *name)
{
    return rc_strf("%s/state/%s", folder, name);
}

static struct rc_db *open_notes(void)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;

    expect_ok(core_db_open_plugin(db, "notes", notes, RC_ARRAY_LEN(notes), NULL, &plugin, &err));
    return plugin;
}

static enum rc_code run(struct rc_db *plugin, const char *statement, struct rc_error *err)
{
    return core_db_exec(plugin, statement, NULL, 0, NULL, err);
}

/* The first column of the only row. */
static int64_t number(struct rc_db *plugin, const char *statement)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;
    int64_t result;

    expect_ok(core_db_query(plugin, statement, NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_non_null(row);
    assert_int_equal(row[0].type, RC_VALUE_INT);
    result = row[0].integer;
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_null(row);
    return result;
}

/* ---- places ------------------------------------------------------------------------------- */

static mode_t mode_of(const char *name)
{
    RC_STR_AUTO where = path(name);
    struct stat st;

    assert_int_equal(stat(where, &st), 0);
    return st.st_mode & 07777;
}

static void finds_and_makes_its_files(void **state)
{
    RC_STR_AUTO url = rc_strf("sqlite://%s/other/deep/my.db", folder);
    RC_STR_AUTO file = rc_strf("%s/other/deep/my.db", folder);
    struct rc_error err = RC_ERROR_INIT;
    struct core_db *other;

    (void)state;
    core_db_close_plugin(open_notes());
    assert_int_equal(mode_of("."), 0700);
    assert_int_equal(mode_of("plugins"), 0700);
    assert_int_equal(mode_of("state.db"), 0600);
    assert_int_equal(mode_of("plugins/notes.db"), 0600);
    expect_ok(core_db_open(url, &other, &err));
    core_db_close(other);
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(core_db_open("mysql://u:secret@h/d", &other, &err), RC_UNSUPPORTED);
    assert_null(strstr(err.cause, "secret"));
    assert_int_equal(core_db_open("sqlite://relative", &other, &err), RC_INVALID);
    assert_int_equal(core_db_open("", &other, &err), RC_INVALID);
    assert_null(other);
}

static void names_of_plugins_do_not_become_paths(void **state)
{
    static const char *const names[] = { "", "../up", "a/b", "a.b", "a b" };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        assert_int_equal(core_db_open_plugin(db, names[i], NULL, 0, NULL, &plugin, &err),
                         RC_INVALID);
}

static void write_file(const char *where, const char *text)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_file_write(where, text, strlen(text), 0600, &err));
}

static void says_how_to_set_a_broken_file_aside(void **state)
{
    RC_STR_AUTO plugins = path("plugins");
    RC_STR_AUTO broken = path("plugins/notes.db");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;
    char junk[8192];

    (void)state;
    memset(junk, 'j', sizeof(junk) - 1);
    junk[sizeof(junk) - 1] = '\0';
    assert_int_equal(mkdir(plugins, 0700), 0);
    write_file(broken, junk);
    assert_int_equal(core_db_open_plugin(db, "notes", notes, 2, NULL, &plugin, &err), RC_CORRUPT);
    assert_non_null(strstr(err.cause, "mv '"));

    /* What an earlier crash at the very beginning may leave: an empty file is a new one. */
    write_file(broken, "");
    core_db_close_plugin(open_notes());
}

static void damage_within_a_file_is_told(void **state)
{
    RC_STR_AUTO where = path("plugins/notes.db");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();
    enum rc_code code;

    (void)state;
    expect_ok(run(plugin,
                  "INSERT INTO notes (text) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT "
                  "i + 1 FROM n WHERE i < 5000) SELECT 'note number ' || i FROM n",
                  &err));
    core_db_close_plugin(plugin);
    /* The rows lie in the log still; whoever closes with SQLite's own settings moves them. */
    sqlite3 *handle;
    assert_int_equal(sqlite3_open(where, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(handle), SQLITE_OK);
    int fd = open(where, O_WRONLY);
    assert_true(fd >= 0);
    char junk[8192];
    memset(junk, 0xA5, sizeof(junk));
    for (off_t at = 8192; at < 65536; at += (off_t)sizeof(junk))
        assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
    (void)close(fd);
    code = core_db_open_plugin(db, "notes", notes, 2, NULL, &plugin, &err);
    if (!code) {
        RC_ROWS_AUTO(rows);
        const struct rc_value *row;

        code = core_db_query(plugin, "SELECT max(length(text)) FROM notes", NULL, 0, &rows, &err);
        if (!code)
            code = rc_rows_next(rows, &row, &err);
        rc_rows_close(&rows);
        core_db_close_plugin(plugin);
    }
    assert_int_equal(code, RC_CORRUPT);
}

/* ---- migrations --------------------------------------------------------------------------- */

static void migrations_run_once_and_in_order(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;

    (void)state;
    expect_ok(core_db_open_plugin(db, "notes", notes, 1, NULL, &plugin, &err));
    assert_int_equal(number(plugin, "SELECT count(*) FROM notes"), 0);
    core_db_close_plugin(plugin);
    for (int i = 0; i < 2; i++) {
        plugin = open_notes();
        assert_int_equal(number(plugin, "SELECT count(*) FROM notes"), 1);
        core_db_close_plugin(plugin);
    }
    expect_ok(core_db_open_plugin(db, "no-tables", NULL, 0, NULL, &plugin, &err));
    core_db_close_plugin(plugin);
}

static enum rc_code open_with(const struct rc_migration *migrations, size_t count,
                              struct rc_error *err)
{
    struct rc_db *plugin;
    enum rc_code code = core_db_open_plugin(db, "notes", migrations, count, NULL, &plugin, err);

    core_db_close_plugin(plugin);
    return code;
}

static void wrong_migrations_are_refused(void **state)
{
    static const struct rc_migration gap[] = { { 1, "SELECT 1" }, { 3, "SELECT 1" } };
    static const struct rc_migration edited[] = { { 1, "CREATE TABLE notes (id INTEGER)" } };
    const struct rc_migration broken[] = {
        notes[0], notes[1], { 3, "CREATE TABLE extra (id INTEGER); CREATE TABEL typo (x)" }
    };
    static const struct rc_migration mended[] = { { 3, "CREATE TABLE extra (id INTEGER)" } };
    const struct rc_migration three[] = { notes[0], notes[1], mended[0] };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(open_with(notes, 2, &err));
    assert_int_equal(open_with(gap, 2, &err), RC_INVALID);
    assert_int_equal(open_with(edited, 1, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "was changed after"));
    assert_int_equal(open_with(notes, 1, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "has schema 2"));
    /* A migration that fails leaves nothing of itself. */
    assert_int_equal(open_with(broken, 3, &err), RC_INVALID);
    assert_non_null(strstr(err.context, "migration 3 of the plugin 'notes'"));
    expect_ok(open_with(notes, 2, &err));
    expect_ok(open_with(three, 3, &err));
}

static void *open_at_once(void *context)
{
    struct rc_error *err = context;
    struct rc_db *plugin;

    if (core_db_open_plugin(db, "notes", notes, 2, NULL, &plugin, err))
        return err;
    core_db_close_plugin(plugin);
    return NULL;
}

static void many_may_migrate_at_once(void **state)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    struct rc_error errors[THREADS];
    struct rc_db *plugin;

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_at_once, &errors[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        if (failed)
            fail_msg("%s: %s", errors[i].context, errors[i].cause);
    }
    plugin = open_notes();
    assert_int_equal(number(plugin, "SELECT count(*) FROM notes"), 1);
    core_db_close_plugin(plugin);
}

/* ---- statements --------------------------------------------------------------------------- */

static void values_come_back_as_they_went_in(void **state)
{
    const struct rc_value in[] = {
        rc_value_null(),
        rc_value_bool(true),
        rc_value_int(INT64_MIN),
        rc_value_float(0.1),
        { .type = RC_VALUE_TEXT, .text = "nul\0inside", .len = 10 },
        rc_value_bytes("\x00\xff", 2),
        rc_value_bytes("", 0),
        rc_value_text(""),
    };
    static const struct rc_migration all[] = {
        { 1, "CREATE TABLE v (n TEXT, b BOOLEAN, i BIGINT, f DOUBLE PRECISION, t TEXT, y BLOB, "
             "z BLOB, e TEXT)" }
    };
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;
    const struct rc_value *row;
    const char *const *names;
    int64_t changed;

    (void)state;
    expect_ok(core_db_open_plugin(db, "values", all, 1, NULL, &plugin, &err));
    expect_ok(core_db_exec(plugin, "INSERT INTO v VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", in,
                           RC_ARRAY_LEN(in), &changed, &err));
    assert_int_equal(changed, 1);
    expect_ok(core_db_query(plugin, "SELECT * FROM v", NULL, 0, &rows, &err));
    assert_int_equal(rc_rows_columns(rows, &names), RC_ARRAY_LEN(in));
    assert_string_equal(names[3], "f");
    expect_ok(rc_rows_next(rows, &row, &err));
    for (size_t i = 0; i < RC_ARRAY_LEN(in); i++) {
        assert_int_equal(row[i].type, in[i].type);
        assert_int_equal(row[i].boolean, in[i].boolean);
        assert_int_equal(row[i].integer, in[i].integer);
        assert_true(row[i].number >= in[i].number && row[i].number <= in[i].number);
        assert_int_equal(row[i].len, in[i].len);
        if (in[i].text) {
            assert_memory_equal(row[i].text, in[i].text, in[i].len);
            assert_int_equal(row[i].text[row[i].len], '\0');
        }
    }
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_null(row);
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_null(row);
    core_db_close_plugin(plugin);
}

static void parameters_are_bound_by_number(void **state)
{
    const struct rc_value two[] = { rc_value_int(7), rc_value_int(5) };
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();
    const struct rc_value *row;

    (void)state;
    expect_ok(core_db_query(plugin, "SELECT $2 - $1, $1", two, 2, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_int_equal(row[0].integer, -2);
    assert_int_equal(row[1].integer, 7);
    rc_rows_close(&rows);
    assert_int_equal(core_db_query(plugin, "SELECT $1", two, 2, &rows, &err), RC_INVALID);
    assert_int_equal(core_db_query(plugin, "SELECT $3", two, 2, &rows, &err), RC_INVALID);
    assert_int_equal(core_db_query(plugin, "SELECT $1, $2", two, 1, &rows, &err), RC_INVALID);
    assert_int_equal(core_db_query(plugin, "SELECT ?", two, 1, &rows, &err), RC_INVALID);
    assert_int_equal(core_db_query(plugin, "SELECT :name", two, 1, &rows, &err), RC_INVALID);
    core_db_close_plugin(plugin);
}

static void mistakes_are_told_apart(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();
    bool reads;

    (void)state;
    assert_int_equal(run(plugin, "SELEKT 1", &err), RC_INVALID);
    assert_int_equal(run(plugin, "SELECT * FROM nowhere", &err), RC_INVALID);
    assert_int_equal(run(plugin, "", &err), RC_INVALID);
    assert_int_equal(run(plugin, "SELECT 1; DELETE FROM notes", &err), RC_INVALID);
    expect_ok(run(plugin, "SELECT 1; -- no more\n", &err));
    assert_int_equal(run(plugin, "INSERT INTO notes (text) VALUES ('first')", &err), RC_CONFLICT);
    assert_int_equal(run(plugin, "INSERT INTO marks VALUES (99)", &err), RC_CONFLICT);
    /* As in PostgreSQL, a word in double quotes is a name. */
    assert_int_equal(run(plugin, "SELECT \"first\"", &err), RC_INVALID);

    expect_ok(core_db_is_read(plugin, "SELECT * FROM notes", &reads, &err));
    assert_true(reads);
    expect_ok(core_db_is_read(plugin, "WITH x AS (SELECT 1) DELETE FROM notes", &reads, &err));
    assert_false(reads);
    expect_ok(core_db_is_read(plugin, "CREATE TABLE t (x INTEGER)", &reads, &err));
    assert_false(reads);
    assert_int_equal(core_db_is_read(plugin, "FROM", &reads, &err), RC_INVALID);
    core_db_close_plugin(plugin);
}

static void a_plugin_stays_in_its_schema(void **state)
{
    static const char *const refused[] = {
        "ATTACH '/tmp/x.db' AS other",
        "DETACH main",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA table_info(notes)",
        "VACUUM INTO '/tmp/x.db'",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT s",
        "CREATE VIRTUAL TABLE v USING fts5(x)",
        "SELECT load_extension('x')",
        "SELECT * FROM run_core_schema",
        "DELETE FROM run_core_schema",
        "DROP TABLE run_core_schema",
        "ALTER TABLE run_core_schema RENAME TO x",
        "CREATE TABLE run_core_mine (x INTEGER)",
    };
    static const struct rc_migration escaping[] = { { 1, "ATTACH '/tmp/x.db' AS other" } };
    static const struct rc_migration committing[] = { { 1, "COMMIT" } };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes(), *other;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(refused); i++) {
        enum rc_code code = run(plugin, refused[i], &err);

        if (code != RC_DENIED && code != RC_INVALID)
            fail_msg("'%s' gave %s", refused[i], rc_code_name(code));
    }
    assert_int_equal(run(plugin, "UPDATE sqlite_schema SET sql = ''", &err), RC_INVALID);
    assert_int_equal(core_db_open_plugin(db, "esc", escaping, 1, NULL, &other, &err), RC_DENIED);
    assert_int_equal(core_db_open_plugin(db, "com", committing, 1, NULL, &other, &err), RC_DENIED);
    assert_int_equal(number(plugin, "SELECT count(*) FROM notes"), 1);
    core_db_close_plugin(plugin);
}

static void rows_of_a_writing_statement(void **state)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();
    const struct rc_value *row;

    (void)state;
    expect_ok(core_db_query(plugin,
                            "INSERT INTO notes (text) VALUES ('b'), ('c') RETURNING text, id", NULL,
                            0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_string_equal(row[0].text, "b");
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_string_equal(row[0].text, "c");
    assert_int_equal(row[1].integer, 3);
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_null(row);
    rc_rows_close(&rows);
    assert_int_equal(number(plugin, "SELECT count(*) FROM notes"), 3);
    /* Rows may be closed early, and after the handle. */
    expect_ok(core_db_query(plugin, "SELECT id FROM notes ORDER BY id", NULL, 0, &rows, &err));
    core_db_close_plugin(plugin);
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_int_equal(row[0].integer, 1);
}

static void transactions(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();

    (void)state;
    assert_int_equal(core_db_commit(plugin, &err), RC_INVALID);
    core_db_rollback(plugin);
    expect_ok(core_db_begin(plugin, &err));
    assert_int_equal(core_db_begin(plugin, &err), RC_INVALID);
    expect_ok(run(plugin, "INSERT INTO notes (text) VALUES ('gone')", &err));
    core_db_rollback(plugin);
    expect_ok(core_db_begin(plugin, &err));
    expect_ok(run(plugin, "INSERT INTO notes (text) VALUES ('kept')", &err));
    expect_ok(core_db_commit(plugin, &err));
    expect_ok(core_db_begin(plugin, &err));
    expect_ok(run(plugin, "INSERT INTO notes (text) VALUES ('open')", &err));
    core_db_close_plugin(plugin);
    plugin = open_notes();
    assert_int_equal(number(plugin, "SELECT count(*) FROM notes WHERE text = 'kept'"), 1);
    assert_int_equal(number(plugin, "SELECT count(*) FROM notes"), 2);
    core_db_close_plugin(plugin);
}

/* ---- others, cancellation, faults --------------------------------------------------------- */

static void *add_many(void *context)
{
    const struct rc_value params[] = { rc_value_int((intptr_t)context) };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();

    for (int i = 0; i < 30; i++) {
        expect_ok(core_db_begin(plugin, &err));
        expect_ok(core_db_exec(plugin,
                               "INSERT INTO notes (text) SELECT $1 || '-' || count(*) FROM notes",
                               params, 1, NULL, &err));
        expect_ok(core_db_commit(plugin, &err));
    }
    core_db_close_plugin(plugin);
    return NULL;
}

static void writers_wait_for_each_other(void **state)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    struct rc_db *plugin = open_notes();

    (void)state;
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(number(plugin, "SELECT count(*) FROM notes"), 1 + THREADS * 30);
    core_db_close_plugin(plugin);
}

static void *ask_to_stop(void *cancel)
{
    (void)usleep(50000);
    core_cancel_request(cancel, RC_CANCELLED);
    return NULL;
}

static void waits_and_computations_can_be_cancelled(void **state)
{
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *holder = open_notes(), *waiter;
    pthread_t thread;

    (void)state;
    expect_ok(core_db_open_plugin(db, "notes", notes, 2, &cancel, &waiter, &err));
    expect_ok(core_db_begin(holder, &err));
    assert_int_equal(pthread_create(&thread, NULL, ask_to_stop, &cancel), 0);
    assert_int_equal(run(waiter, "DELETE FROM notes", &err), RC_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    core_db_rollback(holder);

    cancel = (struct core_cancel)CORE_CANCEL_INIT;
    assert_int_equal(pthread_create(&thread, NULL, ask_to_stop, &cancel), 0);
    assert_int_equal(run(waiter,
                         "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                         "SELECT count(*) FROM n",
                         &err),
                     RC_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    core_db_close_plugin(waiter);
    core_db_close_plugin(holder);
}

static int fill_a_disk(void)
{
    RC_STR_AUTO disk = path("disk");
    struct rc_error err = RC_ERROR_INIT;
    struct core_db *small;
    struct rc_db *plugin;
    enum rc_code code = RC_OK;

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mkdir(disk, 0700) != 0 || mount("tmpfs", disk, "tmpfs", 0, "size=512k") != 0)
        return 77;
    if (core_db_open(disk, &small, &err) ||
        core_db_open_plugin(small, "notes", notes, 2, NULL, &plugin, &err))
        return 1;
    for (int i = 0; i < 1000 && !code; i++)
        code = run(plugin, "INSERT INTO notes (text) SELECT hex(randomblob(5000))", &err);
    if (code != RC_UNAVAILABLE)
        return 2;
    /* What was there before can still be read. */
    if (number(plugin, "SELECT id FROM notes ORDER BY id LIMIT 1") != 1)
        return 3;
    core_db_close_plugin(plugin);
    core_db_close(small);
    return 0;
}

static void a_full_disk_is_a_passing_fault(void **state)
{
    pid_t pid = fork();
    int status;

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fill_a_disk());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Adds rows in transactions of two, and says so only after the commit. */
static void add_for_ever(int told)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();

    for (;;) {
        if (core_db_begin(plugin, &err) ||
            run(plugin, "INSERT INTO notes (text) SELECT 'a' || count(*) FROM notes", &err) ||
            run(plugin, "INSERT INTO notes (text) SELECT 'b' || count(*) FROM notes", &err) ||
            core_db_commit(plugin, &err) || write(told, "x", 1) != 1)
            _exit(1);
    }
}

static void a_killed_writer_leaves_whole_transactions(void **state)
{
    unsigned seed = 7;
    int64_t known = 1;

    (void)state;
    core_db_close_plugin(open_notes());
    for (int round = 0; round < 40; round++) {
        struct rc_db *plugin;
        int ends[2], status;
        int64_t found, told = 0;
        char byte;

        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            add_for_ever(ends[1]);
        (void)close(ends[1]);
        (void)usleep((useconds_t)(rand_r(&seed) % 12000));
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        while (read(ends[0], &byte, 1) == 1)
            told++;
        (void)close(ends[0]);

        plugin = open_notes();
        found = number(plugin, "SELECT count(*) FROM notes");
        core_db_close_plugin(plugin);
        assert_int_equal((found - known) % 2, 0);
        assert_true(found - known >= 2 * told && found - known <= 2 * told + 2);
        known = found;
    }
}

/*
 * Whether another process sees the lock by which a connection keeps its file from being taken out
 * of WAL mode: SHARED_SIZE bytes from SHARED_FIRST on, see SQLite's file format.
 */
static bool is_locked(const char *path)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        struct flock look = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0x40000002, .l_len = 510
        };
        int fd = open(path, O_RDWR);
        _exit(fd < 0 || fcntl(fd, F_GETLK, &look) != 0 ? 2 : look.l_type != F_UNLCK);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 1;
}

/* POSIX drops a process's locks on a file when any of its descriptors of it is closed. */
static void a_second_handle_keeps_the_locks_of_the_first(void **state)
{
    struct rc_db *first = open_notes();
    RC_STR_AUTO path = rc_strf("%s/state/plugins/notes.db", folder);

    (void)state;
    assert_int_equal(number(first, "SELECT count(*) FROM notes"), 1);
    assert_true(is_locked(path));
    struct rc_db *second = open_notes();
    assert_true(is_locked(path));
    core_db_close_plugin(second);
    assert_true(is_locked(path));
    core_db_close_plugin(first);
    assert_false(is_locked(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_and_makes_its_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_of_plugins_do_not_become_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_how_to_set_a_broken_file_aside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_within_a_file_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(migrations_run_once_and_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_migrations_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_may_migrate_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_come_back_as_they_went_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parameters_are_bound_by_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mistakes_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_plugin_stays_in_its_schema, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_of_a_writing_statement, set_up, tear_down),
        cmocka_unit_test_setup_teardown(transactions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writers_wait_for_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waits_and_computations_can_be_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_a_passing_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_handle_keeps_the_locks_of_the_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_killed_writer_leaves_whole_transactions, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
