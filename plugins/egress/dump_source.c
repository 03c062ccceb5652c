/*
 * The pipeline's source: each reader has a connection, and reads a piece in a transaction of its
 * own that sees the snapshot. So a lock lasts no longer than a piece, and nobody who waits for one
 * (ALTER, TRUNCATE, ...) makes the other readers wait behind himself for the whole run.
 */
#include "dump.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SQL_LIMIT = 64 << 20, LEAST_CONNECTIONS = 2, MOST_CONNECTIONS = 8 };

/* ---- connections ---- */

/* Unasked no more than a few: the database has others to serve, however large this machine is. */
static size_t connections_wanted(const struct egress_dump *dump)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = (size_t)dump->config->connections;

    if (wanted == 0)
        wanted = processors < LEAST_CONNECTIONS  ? LEAST_CONNECTIONS
                 : processors > MOST_CONNECTIONS ? MOST_CONNECTIONS
                                                 : (size_t)processors;
    return wanted < dump->plan.piece_count ? wanted : dump->plan.piece_count;
}

enum rc_code egress_dump_connect(struct egress_dump *dump, struct rc_error *err)
{
    size_t wanted = connections_wanted(dump);

    dump->hasty = *dump->config;
    dump->hasty.connect_for_ms = 0;
    dump->readers = rc_calloc(wanted + 1, sizeof(*dump->readers));
    for (size_t i = 0; i < wanted; i++) {
        enum rc_code code = egress_database_open(dump->job, i == 0 ? dump->config : &dump->hasty,
                                                 &dump->readers[i].database, err);

        if (code == RC_UNAVAILABLE && i > 0) {
            rc_warn(dump->job, "reading with %zu connections in place of %zu: %s", i, wanted,
                    err->cause);
            return RC_OK;
        }
        if (code)
            return code;
        dump->reader_count++;
    }
    return RC_OK;
}

void egress_dump_disconnect(struct egress_dump *dump)
{
    for (size_t i = 0; i < dump->reader_count; i++)
        egress_database_close(&dump->readers[i].database);
    free(dump->readers);
    dump->readers = NULL;
    dump->reader_count = 0;
}

/* ---- the source ---- */

/* Ends the reader's transaction; a connection that cannot even do that is given up. */
static void end_piece(struct egress_reader *reader)
{
    struct rc_error ignored = RC_ERROR_INIT;

    egress_copy_close(reader->copy);
    reader->copy = NULL;
    if (reader->database &&
        (!egress_database_alive(reader->database) ||
         egress_database_exec(reader->database, "end the transaction", "ROLLBACK", &ignored)))
        egress_database_close(&reader->database);
}

static size_t readers_of(const struct egress_round *round)
{
    size_t count = round->dump->reader_count;

    return count < round->piece_count ? count : round->piece_count;
}

/*
 * Each reader waits for a server that is gone as long as 'connect_for' says, but once all of them
 * have done so none does again: not for each table that is left.
 */
static enum rc_code reconnect(struct egress_round *round, struct egress_reader *reader,
                              struct rc_error *err)
{
    struct egress_dump *dump = round->dump;

    if (atomic_load(&round->cut_off_count) >= readers_of(round))
        return rc_fail(err, RC_UNAVAILABLE,
                       "the connection to the database was lost, and no other could be made");
    if (egress_database_open(dump->job, dump->config, &reader->database, err)) {
        if (err->code == RC_UNAVAILABLE && !reader->is_cut_off) {
            atomic_fetch_add(&round->cut_off_count, 1);
            reader->is_cut_off = true;
        }
        return err->code;
    }
    if (reader->is_cut_off)
        atomic_fetch_sub(&round->cut_off_count, 1);
    reader->is_cut_off = false;
    return RC_OK;
}

/* Without a partition the table is still there: a new snapshot shows what it consists of now. */
static bool is_partition(const struct egress_piece *piece)
{
    return piece->leaf && (strcmp(piece->leaf->relation, piece->table->relation) != 0 ||
                           strcmp(piece->leaf->schema, piece->table->schema) != 0);
}

static enum rc_code open_piece(void *context, size_t index, size_t piece, struct rc_error *err)
{
    struct egress_round *round = context;
    struct egress_dump *dump = round->dump;
    struct egress_reader *reader = &dump->readers[index];
    RC_BUF_AUTO(sql, SQL_LIMIT);

    reader->piece = &dump->plan.pieces[round->pieces[piece]];
    reader->rows = 0;
    egress_plan_sql(reader->piece, dump->config, &sql);
    if (rc_buf_check(&sql, err))
        return rc_context(err, "the statement that reads it");
    if (reader->database && !egress_database_alive(reader->database))
        egress_database_close(&reader->database);
    if ((!reader->database && reconnect(round, reader, err)) ||
        egress_snapshot_join(&dump->snapshot, reader->database, err) ||
        egress_copy_open(reader->database, sql.data, &reader->copy, err)) {
        end_piece(reader);
        if (err->code == RC_NOT_FOUND && is_partition(reader->piece))
            err->code = RC_CONFLICT;
        return err->code;
    }
    return RC_OK;
}

static enum rc_code read_piece(void *context, size_t index, void *data, size_t capacity,
                               size_t *len, struct rc_error *err)
{
    struct egress_round *round = context;
    struct egress_reader *reader = &round->dump->readers[index];

    if (egress_copy_read(reader->copy, data, capacity, len, err))
        return err->code;
    if (*len == capacity)
        return RC_OK;
    reader->rows = egress_copy_rows(reader->copy);
    egress_copy_close(reader->copy);
    reader->copy = NULL;
    return egress_dump_check_unchanged(reader, err);
}

static void close_piece(void *context, size_t index, int64_t *rows)
{
    struct egress_round *round = context;
    struct egress_reader *reader = &round->dump->readers[index];

    if (rows)
        *rows = reader->rows;
    end_piece(reader);
}

struct egress_source egress_dump_source(struct egress_round *round)
{
    for (size_t i = 0; i < round->dump->reader_count; i++)
        round->dump->readers[i].is_cut_off = false;
    return (struct egress_source){
        .open = open_piece, .read = read_piece, .close = close_piece, .context = round
    };
}
