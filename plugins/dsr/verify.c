/*
 * The two readers that have to agree before anything is replaced: the plugin's own, and the SQL
 * engine, if it reads files of this process. Each says that the new file has the rows that stay,
 * all of them and with every value; the engine, which knows nothing of what was found, says that
 * those that go are the users' as well.
 */
#include "verify.h"
#include "ids.h"

#include <run-core/host.h>

#include <stdlib.h>
#include <string.h>

static struct pq_rows erased_rows(const struct dsr_change *change)
{
    return (struct pq_rows){ .rows = change->found->rows, .len = change->found->count };
}

static int64_t rows_left(const struct dsr_change *change)
{
    return change->found->row_count - (int64_t)change->found->count;
}

/* ---- the plugin's own reader ---------------------------------------------------------------- */

/* The footer's fields that know nothing of rows, as they are written. */
static void add_lasting(struct rc_buf *out, const struct pq_node *root)
{
    enum { ROWS = 3, GROUPS = 4 }; /* num_rows and row_groups of FileMetaData */
    struct pq_node *fields = rc_calloc(root->list.len + 1, sizeof(*fields));
    struct pq_node lasting = *root;

    lasting.list.items = fields;
    lasting.list.len = 0;
    for (size_t i = 0; i < root->list.len; i++)
        if (root->list.items[i].id != ROWS && root->list.items[i].id != GROUPS)
            fields[lasting.list.len++] = root->list.items[i];
    pq_thrift_write(out, &lasting);
    free(fields);
}

/* Schema, key-value metadata, who wrote it, and all else that is not of rows. */
static enum rc_code check_footer(const struct pq_file *before, const struct pq_file *after,
                                 struct rc_error *err)
{
    RC_BUF_AUTO(old, DSR_FOOTER_LIMIT);
    RC_BUF_AUTO(new, DSR_FOOTER_LIMIT);

    add_lasting(&old, &before->root);
    add_lasting(&new, &after->root);
    if (rc_buf_check(&old, err) || rc_buf_check(&new, err))
        return err->code;
    if (old.len != new.len || memcmp(old.data, new.data, old.len) != 0)
        return rc_fail(err, RC_FAILED, "its schema or metadata would be another one");
    return RC_OK;
}

/* Each row group has the rows that it had but for the erased ones, and the same codecs. */
static enum rc_code check_groups(const struct dsr_change *change, const struct pq_file *before,
                                 const struct pq_file *after, struct rc_error *err)
{
    const struct pq_rows erased = erased_rows(change);
    int64_t end = 0;
    size_t at = 0, group = 0;

    for (size_t i = 0; i < before->group_count; i++) {
        const struct pq_group *old = &before->groups[i];
        int64_t rows = old->row_count;

        for (end += old->row_count; at < erased.len && erased.rows[at] < end; at++)
            rows--;
        if (rows == 0 && (old->row_count > 0 || group == after->group_count ||
                          after->groups[group].row_count > 0))
            continue;
        if (group == after->group_count || after->groups[group].row_count != rows)
            return rc_fail(err, RC_FAILED, "row group %zu would not have the %lld rows that remain",
                           i, (long long)rows);
        for (size_t k = 0; k < before->column_count; k++)
            if (old->chunks[k].codec != after->groups[group].chunks[k].codec)
                return rc_fail(err, RC_FAILED, "row group %zu would have another codec in '%s'", i,
                               before->columns[k].path);
        group++;
    }
    if (group != after->group_count || at != erased.len)
        return rc_fail(err, RC_FAILED, "it would have %zu row groups, not %zu", after->group_count,
                       group);
    return RC_OK;
}

/* Every value of every row that remains, by the plugin's own reader. */
static enum rc_code check_values(const struct dsr_change *change, const struct pq_file *before,
                                 const struct pq_file *after, struct rc_error *err)
{
    const struct pq_rows erased = erased_rows(change);
    size_t differing;

    if (pq_reread(before, &erased, change->seen, after, &differing, err))
        return err->code;
    if (differing < before->column_count)
        return rc_fail(err, RC_FAILED, "column '%s' would have other values",
                       before->columns[differing].path);
    return RC_OK;
}

/* No statistics are believed here: what they have hidden is found. */
static enum rc_code check_users(const struct dsr_change *change, bool trusts_statistics,
                                const struct pq_file *after, struct rc_error *err)
{
    struct dsr_found left;
    size_t count;

    if (dsr_find(after, change->table, change->users, /* trust_statistics = */ false, &left, err))
        return err->code;
    count = left.count;
    dsr_found_clear(&left);
    if (count == 0)
        return RC_OK;
    return rc_fail(err, RC_FAILED, "%zu rows of the users would remain%s", count,
                   trusts_statistics
                       ? ": the file's statistics do not tell of them; set trust_statistics: false"
                       : "");
}

static enum rc_code check_new(const struct dsr_change *change, bool trusts_statistics,
                              const struct pq_file *before, const struct pq_file *after,
                              struct rc_error *err)
{
    if (after->row_count != rows_left(change))
        return rc_fail(err, RC_FAILED, "it would have %lld rows, not %lld",
                       (long long)after->row_count, (long long)rows_left(change));
    if (check_footer(before, after, err) || check_groups(change, before, after, err) ||
        check_users(change, trusts_statistics, after, err))
        return err->code;
    return check_values(change, before, after, err);
}

/* ---- the engine ----------------------------------------------------------------------------- */

/* Rows of the users in the old file, by its ids alone, and how many of them are to go. */
static enum rc_code match_users(struct dsr_run *run, struct dsr_engine *engine, struct rc_job *job,
                                const struct dsr_change *change, const struct pq_file *before,
                                int64_t *rows, int64_t *matching, struct rc_error *err)
{
    struct dsr_scratch_file alone;
    struct dsr_ids ids;
    enum rc_code code;

    if (dsr_ids_of(before, change->table, &ids, err))
        return err->code;
    code = dsr_ids_write(job, run->scratch, before, &ids, &alone, err);
    if (!code) {
        code = dsr_ids_match(engine, before, change->table, alone.path, rows, matching, err);
        dsr_scratch_close(&alone);
    }
    dsr_ids_clear(&ids);
    return code;
}

/*
 * The rows of the old file that are the users' are those that were found, no more and no less; and
 * the new file has all the others and nothing else, and so none of the users'.
 */
static enum rc_code ask_engine(struct dsr_run *run, struct dsr_engine *engine, struct rc_job *job,
                               const struct dsr_change *change, const struct pq_file *before,
                               bool is_left, struct rc_error *err)
{
    const struct pq_rows erased = erased_rows(change);
    int64_t rows, matching;

    if (dsr_engine_rows(engine, &erased, err) ||
        match_users(run, engine, job, change, before, &rows, &matching, err))
        return err->code;
    if (rows != (int64_t)erased.len || matching != rows)
        return rc_fail(
            err, RC_FAILED,
            "%zu rows of it were found to be the users', %lld are to the SQL engine, %lld of them "
            "the same: one of the two is wrong, and nothing is erased",
            erased.len, (long long)rows, (long long)matching);
    if (!is_left)
        return RC_OK;
    return dsr_engine_compare(engine, change->before->path, change->after->path, err);
}

static enum rc_code check_by_engine(struct dsr_run *run, struct rc_job *job,
                                    const struct dsr_change *change, const struct pq_file *before,
                                    bool is_left, struct rc_error *err)
{
    RC_CLEANUP(dsr_engines_drop) struct dsr_engine *engine = NULL;

    if (dsr_engines_borrow(job, run->engines, change->users, &engine, err))
        return err->code;
    if (!ask_engine(run, engine, job, change, before, is_left, err))
        return RC_OK;
    if (err->code != RC_UNSUPPORTED)
        return err->code;
    dsr_engine_is_no_judge(job, change->uri, err);
    return RC_OK;
}

/* ---- both ----------------------------------------------------------------------------------- */

static enum rc_code verify(struct dsr_run *run, struct rc_job *job, const struct dsr_change *change,
                           const struct pq_file *before, const struct pq_file *after,
                           struct rc_error *err)
{
    if (after && check_new(change, run->config->trust_statistics, before, after, err))
        return err->code;
    if (run->config->verify == DSR_VERIFY_VALUES || !dsr_engines_read_files(run->engines))
        return RC_OK;
    return check_by_engine(run, job, change, before, /* is_left = */ after != NULL, err);
}

enum rc_code dsr_verify(struct dsr_run *run, struct rc_job *job, const struct dsr_change *change,
                        const struct pq_file *before, struct rc_error *err)
{
    struct pq_source source;
    struct pq_file after;
    enum rc_code code;

    if (rows_left(change) == 0) {
        if (verify(run, job, change, before, NULL, err))
            return rc_context(err, "verify that all its rows are the users' before it goes");
        return RC_OK;
    }
    source = dsr_scratch_source(change->after, change->uri);
    code = pq_file_open(&after, &source, DSR_FOOTER_LIMIT, err);
    if (!code) {
        code = verify(run, job, change, before, &after, err);
        pq_file_close(&after);
    }
    if (code)
        return rc_context(err, "verify the new file before it takes the old one's place");
    return RC_OK;
}
