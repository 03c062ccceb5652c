/*
 * Gathers a plan and shows it. Memory is that of the files that are named, however many there are.
 */
#include "plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_COLUMNS = 8, TABLE_COLUMNS = 6, TRIAL_FILES = 8 };

#define TRIAL_BYTES (INT64_C(64) << 20)
#define NS_PER_MS INT64_C(1000000)

/* ---- gathering ---- */

void dsr_plan_init(struct dsr_plan *plan, size_t table_count)
{
    *plan = (struct dsr_plan){
        .files = rc_calloc(DSR_PLAN_FILES + 1, sizeof(*plan->files)),
        .tables = rc_calloc(table_count + 1, sizeof(*plan->tables)),
        .table_count = table_count,
    };
    pthread_mutex_init(&plan->mutex, NULL);
}

static void free_file(struct dsr_plan_file *file)
{
    free((char *)(uintptr_t)file->uri);
}

void dsr_plan_clear(struct dsr_plan *plan)
{
    for (size_t i = 0; i < plan->file_count; i++)
        free_file(&plan->files[i]);
    free(plan->files);
    free(plan->tables);
    pthread_mutex_destroy(&plan->mutex);
}

static int compare_files(const struct dsr_plan_file *a, const struct dsr_plan_file *b)
{
    if (a->shard != b->shard)
        return a->shard < b->shard ? -1 : 1;
    if (a->table != b->table)
        return a->table < b->table ? -1 : 1;
    return strcmp(a->uri, b->uri);
}

/* Keeps the files in order, and of too many the first. */
static void keep_file(struct dsr_plan *plan, const struct dsr_plan_file *file)
{
    size_t at = plan->file_count;

    while (at > 0 && compare_files(file, &plan->files[at - 1]) < 0)
        at--;
    if (at == DSR_PLAN_FILES)
        return;
    memmove(plan->files + at + 1, plan->files + at, (plan->file_count - at) * sizeof(*plan->files));
    plan->files[at] = *file;
    plan->files[at].uri = rc_strdup(file->uri);
    if (plan->file_count == DSR_PLAN_FILES)
        free_file(&plan->files[DSR_PLAN_FILES]);
    else
        plan->file_count++;
}

void dsr_plan_add(struct dsr_plan *plan, const struct dsr_plan_file *file)
{
    struct dsr_plan_table *table = &plan->tables[file->table];

    pthread_mutex_lock(&plan->mutex);
    table->searched++;
    if (file->rows > 0) {
        table->rows += file->rows;
        if (file->rows == file->row_count) {
            table->removed++;
        } else {
            table->rewritten++;
            table->bytes += file->size_bytes;
        }
        keep_file(plan, file);
    }
    pthread_mutex_unlock(&plan->mutex);
}

bool dsr_plan_wants_trial(struct dsr_plan *plan, int64_t size_bytes)
{
    bool wants;

    pthread_mutex_lock(&plan->mutex);
    wants = plan->trial_files < TRIAL_FILES && plan->trial_bytes < TRIAL_BYTES;
    if (wants) {
        plan->trial_files++;
        plan->trial_bytes += size_bytes;
    }
    pthread_mutex_unlock(&plan->mutex);
    return wants;
}

/* ---- showing ---- */

static char *number(int64_t value)
{
    return rc_strf("%" PRId64, value);
}

static char *counted(int64_t count, const char *what)
{
    return rc_strf("%" PRId64 " %s%s", count, what, count == 1 ? "" : "s");
}

static char *size_text(int64_t bytes)
{
    char text[RC_AMOUNT_TEXT];

    return rc_strdup(rc_format_size(bytes, text));
}

static const char *table_name(const struct dsr_config *config, size_t table)
{
    return RC_OBJECT_AT(struct dsr_table, config->tables, table)->name;
}

static void show(struct rc_job *job, const char *title, const char *const *columns,
                 size_t column_count, char **cells, size_t row_count)
{
    const struct rc_table table = {
        .title = title,
        .columns = columns,
        .column_count = column_count,
        .cells = (const char *const *)cells,
        .row_count = row_count,
    };

    rc_job_show(job, &table);
    for (size_t i = 0; i < row_count * column_count; i++)
        free(cells[i]);
    free(cells);
}

static void show_files(struct rc_job *job, const struct dsr_plan *plan,
                       const struct dsr_config *config, int64_t total)
{
    static const char *const columns[FILE_COLUMNS] = { "table",          ">shard", "day",
                                                       ">rows to erase", ">of",    ">bytes",
                                                       "becomes",        "file" };
    RC_STR_AUTO cut =
        total > (int64_t)plan->file_count
            ? rc_strf("Files that hold a user, the first %zu of %" PRId64, plan->file_count, total)
            : NULL;
    char **cells = rc_malloc((plan->file_count * FILE_COLUMNS + 1) * sizeof(*cells)),
         **next = cells;

    for (size_t i = 0; i < plan->file_count; i++) {
        const struct dsr_plan_file *file = &plan->files[i];
        char day[RC_DAY_TEXT];

        *next++ = rc_strdup(table_name(config, file->table));
        *next++ = number(file->shard);
        *next++ = rc_strdup(rc_format_day(file->day, day));
        *next++ = number(file->rows);
        *next++ = number(file->row_count);
        *next++ = number(file->size_bytes);
        *next++ = rc_strdup(file->rows == file->row_count ? "removed" : "rewritten");
        *next++ = rc_strdup(file->uri);
    }
    show(job, cut ? cut : "Files that hold a user", columns, FILE_COLUMNS, cells, plan->file_count);
}

static void show_tables(struct rc_job *job, const struct dsr_plan *plan,
                        const struct dsr_config *config)
{
    static const char *const columns[TABLE_COLUMNS] = { "table",          ">files searched",
                                                        ">to rewrite",    ">to remove",
                                                        ">rows to erase", ">bytes to rewrite" };
    char **cells = rc_malloc((plan->table_count * TABLE_COLUMNS + 1) * sizeof(*cells)),
         **next = cells;

    for (size_t i = 0; i < plan->table_count; i++) {
        const struct dsr_plan_table *table = &plan->tables[i];

        *next++ = rc_strdup(table_name(config, i));
        *next++ = number(table->searched);
        *next++ = number(table->rewritten);
        *next++ = number(table->removed);
        *next++ = number(table->rows);
        *next++ = number(table->bytes);
    }
    show(job, "Tables", columns, TABLE_COLUMNS, cells, plan->table_count);
}

static struct dsr_plan_table sum_tables(const struct dsr_plan *plan)
{
    struct dsr_plan_table sum = { 0 };

    for (size_t i = 0; i < plan->table_count; i++) {
        sum.searched += plan->tables[i].searched;
        sum.rewritten += plan->tables[i].rewritten;
        sum.removed += plan->tables[i].removed;
        sum.rows += plan->tables[i].rows;
        sum.bytes += plan->tables[i].bytes;
    }
    return sum;
}

/*
 * A cleanup searches twice, before and after; a trial did all that is done to a file but for the
 * writing of it.
 */
static void say_estimate(struct rc_job *job, const struct dsr_plan *plan, int64_t rewrite_bytes,
                         int64_t search_ns, size_t width)
{
    int64_t trying_ns = plan->trying_ns / (int64_t)width, rewrite_ms = 0;
    int64_t search_ms = (search_ns > trying_ns ? search_ns - trying_ns : 0) / NS_PER_MS;
    char total[RC_AMOUNT_TEXT], search[RC_AMOUNT_TEXT];

    if (plan->trial_bytes > 0)
        rewrite_ms = (int64_t)((double)plan->trial_ns / (double)plan->trial_bytes *
                               (double)rewrite_bytes / (double)width / (double)NS_PER_MS);
    rc_format_duration(2 * search_ms + rewrite_ms, total);
    rc_format_duration(search_ms, search);
    RC_STR_AUTO tried = size_text(plan->trial_bytes);
    RC_STR_AUTO files = counted(plan->trial_files, "file");
    RC_STR_AUTO text =
        plan->trial_files > 0
            ? rc_strf("It would take about %s: twice this search (%s), and the rewriting at the "
                      "rate of a trial with %s of %s, %zu at a time",
                      total, search, files, tried, width)
            : rc_strf("It would take about %s: twice this search (%s)", total, search);
    rc_job_say(job, text);
}

static void say_sums(struct rc_job *job, const struct dsr_plan *plan,
                     const struct dsr_plan_table *sum)
{
    int64_t files = sum->rewritten + sum->removed;
    RC_STR_AUTO users = counted(plan->users, "user");
    RC_STR_AUTO markers = counted(plan->markers, "marker");
    RC_STR_AUTO shards = counted(plan->shards, "shard");
    RC_STR_AUTO rows = counted(sum->rows, "row");
    RC_STR_AUTO of = counted(files, "file");
    RC_STR_AUTO bytes = size_text(sum->bytes);
    RC_STR_AUTO text = NULL;

    text = rc_strf("Would erase %s (%s in %s): %s of %s, of %" PRId64 " searched; %" PRId64
                   " to rewrite (%s), %" PRId64 " to remove",
                   users, markers, shards, rows, of, sum->searched, sum->rewritten, bytes,
                   sum->removed);
    rc_job_say(job, text);
}

static void say_malformed(struct rc_job *job, int64_t malformed)
{
    RC_STR_AUTO objects = counted(malformed, "object");
    RC_STR_AUTO text = rc_strf("Among the markers %s %s, each named by a warning: a cleanup would "
                               "leave them, and end with status 1",
                               objects, malformed == 1 ? "is none" : "are none");

    if (malformed > 0)
        rc_job_say(job, text);
}

void dsr_plan_show(struct rc_job *job, const struct dsr_plan *plan, const struct dsr_config *config,
                   int64_t search_ns, size_t width)
{
    struct dsr_plan_table sum = sum_tables(plan);

    if (plan->markers == 0 && plan->failed == 0) {
        rc_job_say(job, "no markers: nothing to erase");
    } else {
        if (sum.rewritten + sum.removed > 0)
            show_files(job, plan, config, sum.rewritten + sum.removed);
        show_tables(job, plan, config);
        say_sums(job, plan, &sum);
        say_estimate(job, plan, sum.bytes, search_ns, width);
    }
    say_malformed(job, plan->malformed);
    rc_job_count(job, "shards", plan->shards);
    rc_job_count(job, "markers", plan->markers);
    rc_job_count(job, "users", plan->users);
    rc_job_count(job, "files_scanned", sum.searched);
    rc_job_count(job, "files_to_rewrite", sum.rewritten);
    rc_job_count(job, "files_to_remove", sum.removed);
    rc_job_count(job, "rows_to_delete", sum.rows);
    rc_job_count(job, "bytes_to_rewrite", sum.bytes);
}
