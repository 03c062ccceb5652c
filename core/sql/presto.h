/*
 * What the engines of the Presto family share: Athena and Trino speak almost one SQL, reach a
 * catalogue of tables over files, and run elsewhere. A dialect says in what they differ, and runs
 * statements; the verbs of a session are the same for both, and stand here.
 *
 * A table of a session is a text that FROM takes: a table of the catalogue that the session made,
 * one that was there, or a query over several. What the session makes has its name, in the
 * catalogue and below the folder 'work', and goes with it. The first thing that a session leaves
 * there is an object MARK, the last that it removes: who finds one of a session that is over
 * removes the rest, if it is of the same server and catalogue.
 *
 *     presto.c          opening, closing, statements
 *     presto_bind.c     values into statements; what is a read; where a statement ends    (pure)
 *     presto_text.c     the expression helpers                                            (pure)
 *     presto_reason.c   what a server says of a failure                                   (pure)
 *     presto_attach.c   tables over files: which tables of the catalogue a set of locations takes
 *     presto_keys.c     the values of keys                                                (pure)
 *     presto_folders.c  which folders hold the files of some locations, and by which keys
 *     presto_publish.c  tables that stay in the catalogue, for others
 *     presto_tables.c   the names of a session: make, refer, drop
 *     presto_load.c     tables from rows of the caller's
 *     presto_write.c    the files of a query: made in the work folder, checked, put in place
 *     presto_chunks.c   the same of more partitions than a statement may write
 *     presto_place.c    putting them in place
 *     presto_csv.c      a single object of CSV, written here
 *     presto_search.c   rc_sql_search()
 *     presto_sweep.c    what dead sessions have left
 */
#ifndef CORE_SQL_PRESTO_H
#define CORE_SQL_PRESTO_H

#include <sql/engine.h>
#include <storage/resolve.h>

#include <stdatomic.h>

struct core_presto;

/* In the folder of each session. */
#define CORE_PRESTO_MARK "_session"

/* Statements, and the texts that they are made of. */
#define CORE_PRESTO_STATEMENT_LIMIT ((size_t)16 << 20)

/* What a statement is, for a server that counts them apart. */
enum core_presto_kind { CORE_PRESTO_DML, CORE_PRESTO_DDL };

/* A key of the folders on the way to the files. */
struct core_presto_partition {
    const char *name, *type; /* of rc_sql_column */
    /* What is found of it below the table's location, for engines that make up partitions. */
    enum {
        CORE_PARTITION_VALUES, /* the listed values */
        CORE_PARTITION_NUMBERS,
        CORE_PARTITION_DAYS, /* YYYY-MM-DD */
    } range;
    struct rc_strs values;
    int64_t least, greatest; /* of numbers; of days, as in time.h */
    int64_t step;            /* of numbers, from one to the next; 0 is 1 */
    bool grows;              /* days that are not over yet will come: the greatest is today */
};

/* A table of the catalogue over files. All texts are borrowed. */
struct core_presto_external {
    const char *table; /* quoted and complete, as the dialect's SQL wants it in DDL */
    const struct rc_sql_column *columns;
    size_t column_count;
    const struct core_presto_partition *partitions;
    size_t partition_count;
    const char *location; /* as the server reaches it, ends with '/' */
    /* parquet, json, csv; or lines: of a text, each the value of the only column, a varchar */
    const char *format;
};

/* A table of the catalogue that a query makes, with files of its own. */
struct core_presto_made {
    const char *table;
    const char *query;
    const char *location;            /* as above; nothing lies there */
    const char *format;              /* parquet or csv */
    const char *compression;         /* zstd, snappy, gzip, none */
    const char *const *partition_by; /* the last columns of the query */
    size_t partition_count;
    bool in_place; /* its files are wanted at 'location'; else the server may keep them elsewhere */
};

struct core_presto_dialect {
    const struct core_engine_ops *ops;
    size_t statement_limit_bytes; /* in UTF-8 */
    size_t partitions_at_once;    /* that one statement may write into */
    const char *timestamp;        /* its type for 'timestamp' */
    bool reads_nested;            /* files in folders below a partition's are read, too */
    bool makes_schema; /* a session's tables lie in a schema of its own, made by 'begin_work' */

    /*
     * Runs a statement of the engine's own to its end; 'updated' (may be NULL) gets the rows that
     * it wrote, -1 if the server does not say. RC_TOO_LARGE: it writes into too many partitions.
     */
    enum rc_code (*run)(struct core_presto *session, enum core_presto_kind kind, const char *text,
                        int64_t *updated, struct rc_error *err);
    enum rc_code (*query)(struct core_presto *session, const char *text, struct rc_rows **out,
                          struct rc_error *err);

    /* Pure: texts of statements. Identifiers in DDL are the dialect's own. */
    void (*add_ddl_name)(const struct core_presto *session, struct rc_buf *out,
                         const char *database, const char *table);
    void (*add_create)(const struct core_presto_external *table, struct rc_buf *out);
    void (*add_make)(const struct core_presto_made *made, struct rc_buf *out);
    /*
     * Optional: what the files are compressed with that later statements write, where that is a
     * setting of the session and not of a table. Before 'add_make', and what is inserted then.
     */
    void (*set_compression)(struct core_presto *session, const char *compression);
    /*
     * The statement that has to follow 'add_create' before the partitions of a table are seen, and
     * again when some were added; NULL, or nothing added: none has to.
     */
    void (*add_find_partitions)(const struct core_presto *session, const char *database,
                                const char *table, struct rc_buf *out);
    /*
     * Optional: when the first table is about to be made; and when the last has gone of this
     * session, or whatever there is has to go of one that is over.
     */
    enum rc_code (*begin_work)(struct core_presto *session, struct rc_error *err);
    enum rc_code (*end_work)(struct core_presto *session, const char *over_session,
                             struct rc_error *err);
    /*
     * Optional: ends what the server still runs for a session that is over, and waits until it has
     * ended. RC_DENIED, RC_NOT_FOUND, RC_UNSUPPORTED: this server does not tell this user.
     */
    enum rc_code (*stop_work)(struct core_presto *session, const char *over_session,
                              struct rc_error *err);
    /*
     * Optional: lines "name: value\n" that tell from others the server, and what of it a session's
     * work lies in. They stand in marks: later releases read what this one writes.
     */
    void (*add_place)(const struct core_presto *session, struct rc_buf *out);
};

/* A table of the catalogue that the session made, and its folder as both sides know it. */
struct core_presto_name {
    char *table;  /* plain */
    char *ddl;    /* complete, as DDL wants it */
    char *from;   /* complete, as FROM wants it */
    char *folder; /* URI, ends with '/'; NULL: its files are not the session's */
    char *there;  /* the same for the server */
};

/* A place that was attached, by both of its names. */
struct core_presto_location {
    char *given; /* as the caller has it, ends with '/' */
    char *there; /* as the server has it */
};

/* A name of the session. */
struct core_presto_table {
    struct core_presto_table *next; /* that was made before */
    char *name;                     /* as the plugin knows it */
    char *from;                     /* what FROM takes: a quoted name, or a query in brackets */
    /* Of one that was attached: the same with a column "$path" of the file's place; else NULL. */
    char *from_paths;
    struct core_presto_location *locations; /* what such paths begin with */
    size_t location_count;
    struct core_presto_name *names; /* in the catalogue, that go with it */
    size_t name_count;
};

struct core_presto {
    struct rc_sql base;
    struct core_sql_context context;
    const struct core_presto_dialect *dialect;
    char *database;   /* of the session's own tables, plain: of Trino the schema that it makes */
    char *prefix;     /* of their names */
    char *work;       /* URI of the session's folder, as the storage takes it; ends with '/' */
    char *work_there; /* the same as the server reaches it */
    bool has_work;    /* something was left there */
    bool is_ready;    /* for tables */
    unsigned made;    /* tables so far; a number makes each name new */
    struct core_presto_table *tables; /* the youngest first */
    struct rc_rows *rows;             /* of the query that is still being read, or NULL */
    struct core_cancel wish;     /* by core_sql_cancel(), of the verb under way; or the run's */
    struct core_cancel stop;     /* that too, but while tidying up; it ends statements */
    atomic_bool is_busy;         /* with a verb */
    int64_t until_mono_ms;       /* when what tidies up has to end; 0: nothing does */
    struct core_storage storage; /* the context's, but ended by 'stop' */
};

/* ---- presto.c: for the two engines ----------------------------------------------------------- */

/*
 * Fills the shared part of a session that the engine has allocated: 'results' is where it may keep
 * its work if settings->work is NULL, or NULL. RC_INVALID: there is no such place, or the server
 * does not reach it.
 */
RC_MUST_CHECK enum rc_code core_presto_init(struct core_presto *session,
                                            const struct core_sql_context *context,
                                            const struct core_presto_dialect *dialect,
                                            const char *results, struct rc_error *err);
/* Drops what the session made, and removes its files, whether the run is to stop or not. */
void core_presto_end(struct core_presto *session);

/* RC_CANCELLED or RC_TIMEOUT if the statement should not begin, or go on. */
RC_MUST_CHECK enum rc_code core_presto_check(struct core_presto *session, struct rc_error *err);

/*
 * Every verb begins with the first, and ends with the second where the first succeeded: a wish of
 * core_sql_cancel() holds in between. RC_INVALID: rows of an earlier query are open.
 */
RC_MUST_CHECK enum rc_code core_presto_begin(struct core_presto *session, struct rc_error *err);
void core_presto_done(struct core_presto *session);
/*
 * Hands out rows of the engine's: the verb goes on until they are closed, and nothing else can be
 * done meanwhile. Instead of core_presto_done().
 */
struct rc_rows *core_presto_hand_out(struct core_presto *session, struct rc_rows *rows);

/*
 * Tidying up: until core_presto_tidied() no wish to stop ends what is done with statements and
 * files, but a limit of time does.
 */
struct core_presto_tidying {
    const struct core_cancel *parent;
    int64_t until_mono_ms;
};
void core_presto_tidy(struct core_presto *session, struct core_presto_tidying *before);
void core_presto_tidied(struct core_presto *session, const struct core_presto_tidying *before);
/* Tells people what is no error of the verb. */
void core_presto_say(const struct core_presto *session, enum rc_log_level level, const char *format,
                     ...) RC_PRINTF(3, 4);

/*
 * The URI as the server reaches it, of one that a plugin gives: through the mapping of stores, with
 * what is not ASCII as it is in the store's key. RC_UNSUPPORTED: it does not reach it; the message
 * says what it does.
 */
RC_MUST_CHECK enum rc_code core_presto_there(const struct core_presto *session, const char *uri,
                                             struct rc_buf *out, struct rc_error *err);

/* The verbs, for the tables of operations of both. */
enum rc_code core_presto_exec(struct rc_sql *sql, const char *statement,
                              const struct rc_value *params, size_t param_count, int64_t *changed,
                              struct rc_error *err);
enum rc_code core_presto_query(struct rc_sql *sql, const char *statement,
                               const struct rc_value *params, size_t param_count,
                               struct rc_rows **out, struct rc_error *err);
enum rc_code core_presto_is_read(struct rc_sql *sql, const char *statement, bool *reads,
                                 struct rc_error *err);
enum rc_code core_presto_attach(struct rc_sql *sql, const struct rc_sql_table *table,
                                struct rc_error *err);
enum rc_code core_presto_write(struct rc_sql *sql, const struct rc_sql_output *output,
                               struct rc_sql_written *written, struct rc_error *err);
enum rc_code core_presto_drop(struct rc_sql *sql, const char *table, struct rc_error *err);
void core_presto_cancel(struct rc_sql *sql);
enum rc_code core_presto_make(struct rc_sql *sql, const char *table, const char *query,
                              const struct rc_value *params, size_t param_count, int64_t *rows,
                              struct rc_error *err);
enum rc_code core_presto_load(struct rc_sql *sql, const char *table,
                              const struct rc_sql_column *columns, size_t column_count,
                              const struct rc_sql_rows *rows, struct rc_error *err);
enum rc_code core_presto_refer(struct rc_sql *sql, const char *table, const char *database,
                               const char *name, struct rc_error *err);
enum rc_code core_presto_publish(struct rc_sql *sql, const char *database,
                                 const struct rc_sql_table *table, struct rc_error *err);
enum rc_code core_presto_search(struct rc_sql *sql, const struct rc_sql_lookup *search,
                                struct rc_rows **out, struct rc_error *err);
void core_presto_add_table(struct rc_sql *sql, struct rc_buf *out, const char *table);
/*
 * The expressions mean what they do on DuckDB, but for these:
 *
 *   json_text    A number that is written with an exponent, and is 1e7 or more or less than 1e-3,
 *                comes as "1.0E7" and not as "10000000.0"; so do such numbers inside an object or
 *                an array, whose text has pairs of surrogates as escapes. A number with a point
 *                keeps digits that no double holds, and its zeros where it has more than 1,000
 *                characters. A step ".0" finds an array's element, too.
 *   json_valid   RFC 8259 without DuckDB's extensions: a comma behind the last element and NaN make
 *                a text broken. An escape of half a pair of surrogates does not.
 *   try_cast     To numbers, "1_000", "0x10" and "0b1" are NULL, and an integer is rounded by its
 *                first 18 decimals; to whole numbers and decimals, too long an exponent (of more
 *                than four digits) or text (of more than 1,000 characters) is NULL; of dates and
 *                timestamps "epoch", "infinity", years BC by that word, "24:00:00", and of
 *                timestamps a year of fewer than four digits are NULL. What is no text is read as
 *                the text that it casts to.
 */
void core_presto_add_json_text(struct rc_sql *sql, struct rc_buf *out, const char *json,
                               const char *path);
void core_presto_add_json_valid(struct rc_sql *sql, struct rc_buf *out, const char *json);
void core_presto_add_try_cast(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                              const char *type);
void core_presto_add_hex(struct rc_sql *sql, struct rc_buf *out, const char *expression);
void core_presto_add_sum(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                         const char *order);

/* What the tables of operations of both have in common. */
#define CORE_PRESTO_VERBS                                                                          \
    .exec = core_presto_exec, .query = core_presto_query, .is_read = core_presto_is_read,          \
    .attach = core_presto_attach, .write = core_presto_write, .drop = core_presto_drop,            \
    .cancel = core_presto_cancel, .add_json_text = core_presto_add_json_text,                      \
    .add_json_valid = core_presto_add_json_valid, .add_try_cast = core_presto_add_try_cast,        \
    .make = core_presto_make, .load = core_presto_load, .refer = core_presto_refer,                \
    .publish = core_presto_publish, .search = core_presto_search,                                  \
    .add_table = core_presto_add_table, .add_hex = core_presto_add_hex,                            \
    .add_sum = core_presto_add_sum,                                                                \
    .features = RC_SQL_IN_PLACE | RC_SQL_SEARCH | RC_SQL_CATALOGUE, .attach_is_change = true

/* ---- between the files ----------------------------------------------------------------------- */

/*
 * Runs a statement of the engine's own, or queries, once it is shown not to be too long for the
 * server; looks at cancellation.
 */
RC_MUST_CHECK enum rc_code core_presto_run(struct core_presto *session, enum core_presto_kind kind,
                                           const struct rc_buf *text, int64_t *updated,
                                           struct rc_error *err);
RC_MUST_CHECK enum rc_code core_presto_ask(struct core_presto *session, const struct rc_buf *text,
                                           struct rc_rows **out, struct rc_error *err);

/*
 * presto_bind.c. The only statement in the text, without what is around it, and with its parameters
 * as literals. RC_INVALID: it has another number of them, or a text is not UTF-8.
 */
RC_MUST_CHECK enum rc_code core_presto_bind(const char *statement, const struct rc_value *params,
                                            size_t param_count, struct rc_buf *out,
                                            struct rc_error *err);
/* Whether the only statement in the text reads. RC_INVALID: there is none, or more than one. */
RC_MUST_CHECK enum rc_code core_presto_reads(const char *statement, bool *reads,
                                             struct rc_error *err);

/*
 * Whether two statements are the same but for blanks, comments, quotes and capitals of names, and a
 * slash at the end of texts. False where it is not certain.
 */
bool core_presto_is_same(const char *a, const char *b);

/* What a statement of a plugin's is: the making of a table from a query is more than a change. */
enum core_presto_kind core_presto_kind_of(const char *statement);

/* presto_text.c. The SQL of a type of rc_sql_column; false: it is none. */
bool core_presto_add_type(const struct core_presto_dialect *dialect, struct rc_buf *out,
                          const char *type);
/* What a cell of a result is, by the name of its type ("decimal(10,2)", "varchar(3)"). */
enum rc_value_type core_presto_value_type(const char *type);
/*
 * A timestamp without zone has as many digits behind its seconds as its type says, which differs
 * from server to server; as rows have it, it has no more than it needs, as on DuckDB. The second
 * gives how long such a text is then.
 */
bool core_presto_is_timestamp(const char *type);
size_t core_presto_timestamp_len(const char *text, size_t len);

/*
 * presto_reason.c. Adds what a server says of a failure ("NAME: message", or words alone) but for
 * what it quotes of the data, which belongs in no log: "..." stands for that.
 */
void core_presto_hide_values(struct rc_buf *out, const char *reason);
/* Whether that is the name which the reason begins with. */
bool core_presto_has_name(const char *reason, const char *name);
/* Adds the text on one line, cut to 'most' bytes and "..." where it is longer. */
void core_presto_add_line(struct rc_buf *out, const char *text, size_t len, size_t most);
/* rc_fail() of the three on one line, of which the reason is cut where there is no room for all. */
enum rc_code core_presto_fail(struct rc_error *err, enum rc_code code, const char *before,
                              const char *reason, const char *behind);

/* presto_tables.c. Makes the work folder, its mark, and what the dialect needs; once. */
RC_MUST_CHECK enum rc_code core_presto_begin_work(struct core_presto *session,
                                                  struct rc_error *err);
/* A new name in the catalogue, for a table with a folder of its own; to be cleared. */
void core_presto_new_name(struct core_presto *session, const char *hint,
                          struct core_presto_name *out);
void core_presto_name_clear(struct core_presto_name *name);
/* Drops a table of the catalogue, and removes what lies in its folder if there is one. */
RC_MUST_CHECK enum rc_code core_presto_forget(struct core_presto *session,
                                              const struct core_presto_name *name,
                                              struct rc_error *err);
/* The catalogue of what sessions make and jobs publish, tables over files; NULL: the default. */
const char *core_presto_catalog(const struct core_presto *session);
/* A table of that catalogue as FROM takes it; 'database' may be "catalog.database", of another. */
void core_presto_add_from(const struct core_presto *session, struct rc_buf *out,
                          const char *database, const char *table);
/*
 * A view of the catalogue's information schema, and the condition for one database, or one table of
 * it: "information_schema.columns WHERE ...".
 */
void core_presto_add_schema(const struct core_presto *session, struct rc_buf *out,
                            const char *database, const char *view, const char *table);
/* The integer that a query gives. */
RC_MUST_CHECK enum rc_code core_presto_number(struct core_presto *session,
                                              const struct rc_buf *text, int64_t *number,
                                              struct rc_error *err);
/*
 * Makes a table over files, with the partitions that are there; 'database' and 'table' are its
 * plain names.
 */
/*
 * Makes the table of that name by a query; 'made' has all but its name and place. 'text' gets the
 * statement, and 'updated' the rows as dialect.run() has them.
 */
RC_MUST_CHECK enum rc_code core_presto_run_make(struct core_presto *session,
                                                const struct core_presto_name *name,
                                                const struct core_presto_made *made,
                                                struct rc_buf *text, int64_t *updated,
                                                struct rc_error *err);
RC_MUST_CHECK enum rc_code core_presto_create(struct core_presto *session, const char *database,
                                              const char *table,
                                              const struct core_presto_external *external,
                                              struct rc_error *err);
/* Has the server look for the partitions of a table, if it has to be told to. */
RC_MUST_CHECK enum rc_code core_presto_find_partitions(struct core_presto *session,
                                                       const char *database, const char *table,
                                                       struct rc_error *err);
/* What can be said of a table over files before they are listed. RC_INVALID, RC_UNSUPPORTED. */
RC_MUST_CHECK enum rc_code core_presto_check_table(const struct core_presto *session,
                                                   const struct rc_sql_table *table,
                                                   struct rc_error *err);
/* A table with one new name in the catalogue; to be kept or discarded. */
struct core_presto_table *core_presto_new_table(struct core_presto *session, const char *name);
/* The table of the session; NULL: there is none of that name. */
const struct core_presto_table *core_presto_find(const struct core_presto *session,
                                                 const char *name);
/*
 * Takes over a table that was made, with all that it points to; an older one of its name goes, and
 * what cannot be removed of that is told.
 */
void core_presto_keep(struct core_presto *session, struct core_presto_table *table);
/* Frees it; what it names in the catalogue is forgotten first, if it can be. */
void core_presto_discard(struct core_presto *session, struct core_presto_table *table);
/* Removes the objects below the folder of a session's, but for its mark. */
RC_MUST_CHECK enum rc_code core_presto_empty(struct core_presto *session, const char *folder,
                                             struct rc_error *err);
/* Files of this machine lie in folders that stay without them: removes one that is empty. */
void core_presto_remove_folder(struct core_presto *session, const char *folder);

/* presto_chunks.c. What a query's rows become in the session's folder. */
struct core_presto_output {
    const char *query, *compression;
    char **columns; /* the partitions last; NULL: as the query has them */
    size_t column_count;
    const char *const *partition_by;
    size_t partition_count;
};
/*
 * Makes the table of a query. 'rows' get those that were written, -1 if the server does not say.
 * RC_TOO_LARGE with *too_many set: its rows fall into too many partitions for one statement.
 */
RC_MUST_CHECK enum rc_code core_presto_make_output(struct core_presto *session,
                                                   const struct core_presto_output *output,
                                                   const struct core_presto_name *name,
                                                   int64_t *rows, bool *too_many,
                                                   struct rc_error *err);
/* The same in as many statements as it takes. */
RC_MUST_CHECK enum rc_code core_presto_make_chunks(struct core_presto *session,
                                                   const struct core_presto_output *output,
                                                   const struct core_presto_name *name,
                                                   int64_t *rows, struct rc_error *err);
/* "a", "b": columns as SELECT takes them. */
void core_presto_add_columns(struct rc_buf *out, char *const *names, size_t count);

/* presto_place.c. Files of a table's folder. */
struct core_presto_file {
    char *source; /* its name below the folder */
    char *target; /* and below the location; NULL: it has no rows, and is not wanted there */
    int64_t size_bytes;
};
struct core_presto_files {
    struct core_presto_file *items; /* in the order of their names */
    size_t count;
};
/* What lies in a folder and is data. */
RC_MUST_CHECK enum rc_code core_presto_list_files(struct core_presto *session, const char *folder,
                                                  struct core_presto_files *out,
                                                  struct rc_error *err);
/* NULL: there is no file of that name. */
struct core_presto_file *core_presto_find_file(const struct core_presto_files *files,
                                               const char *source);
void core_presto_files_clear(struct core_presto_files *files);
/*
 * Copies the files to the location, a folder, under the names that they have there, and removes all
 * that was there before. When it fails, that is there unharmed.
 */
RC_MUST_CHECK enum rc_code core_presto_place(struct core_presto *session, const char *folder,
                                             const struct core_presto_files *files,
                                             const char *location, struct rc_error *err);

/* presto_csv.c. Writes rows to an object as CSV (RFC 4180), in one step. */
RC_MUST_CHECK enum rc_code core_presto_write_csv(struct core_presto *session, struct rc_rows *rows,
                                                 const struct rc_sql_output *output,
                                                 struct rc_sql_written *written,
                                                 struct rc_error *err);

/*
 * presto_search.c. The rest of a file's place, as "$path" has it, behind a folder's as the server
 * has it; NULL: it does not lie there. Their schemes may be written in different ways.
 */
const char *core_presto_behind(const char *there, const char *path);

/* presto_sweep.c. What stands in the mark: of whom the session is. */
void core_presto_add_mark(const struct core_presto *session, struct rc_buf *out);
/*
 * Removes what sessions of this engine, server and catalogue have left that are over. What fails is
 * told and left.
 */
void core_presto_sweep(struct core_presto *session);

#endif
