/*
 * The Parquet part of dsr by hand, for tests that judge what it writes and finds, and for people
 * who look into a file.
 *
 *     parquet-tool rewrite IN OUT ROWS-FILE        rows to leave out, one number a line, rising
 *     parquet-tool scan IN COLUMN IDS-FILE [all]   values in hexadecimal, one a line; prints a line
 *                                                  "ROW LINE" a hit; 'all' trusts no statistics
 *     parquet-tool project IN OUT COLUMN...
 *     parquet-tool digest IN [ROWS-FILE]           a line a column
 *     parquet-tool show IN
 *
 * The exit status is 1 where a file is refused, with the reason on stderr, and 2 for a wrong use.
 */
#include "parquet/codec.h"
#include "parquet/rewrite.h"
#include "parquet/scan.h"

#include <run-core/str.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOOTER_LIMIT_BYTES = 256 << 20, LINES_LIMIT_BYTES = 64 << 20, USAGE = 2 };

/* ---- files ---- */

static enum rc_code read_at(void *context, int64_t offset_bytes, void *data, size_t len,
                            struct rc_error *err)
{
    const int *fd = context;

    for (size_t done = 0; done < len;) {
        ssize_t count = pread(*fd, (char *)data + done, len - done, offset_bytes + (int64_t)done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return rc_fail_errno(err, errno, "cannot read");
        if (count == 0)
            return rc_fail(err, RC_INVALID, "there is nothing at byte %lld",
                           (long long)offset_bytes + (long long)done);
        done += (size_t)count;
    }
    return RC_OK;
}

static enum rc_code write_all(void *context, const void *data, size_t len, struct rc_error *err)
{
    if (fwrite(data, 1, len, context) != len)
        return rc_fail_errno(err, errno, "cannot write");
    return RC_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum rc_code open_source(const char *path, int *fd, struct pq_source *out,
                                struct rc_error *err)
{
    struct stat status;

    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, &status) != 0)
        return rc_fail_errno(err, errno, "cannot open '%s'", path);
    *out = (struct pq_source){
        .read = read_at, .context = fd, .size_bytes = status.st_size, .name = path
    };
    return RC_OK;
}

static void drop_file(struct pq_file **file)
{
    if (*file)
        pq_file_close(*file);
}

static enum rc_code read_lines(const char *path, struct rc_buf *out, struct rc_error *err)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return rc_fail_errno(err, errno, "cannot open '%s'", path);
    char piece[4096];
    for (size_t len; (len = fread(piece, 1, sizeof(piece), file)) > 0;)
        rc_buf_add(out, piece, len);
    fclose(file);
    return rc_buf_check(out, err);
}

/* ---- lists of rows and of values ---- */

static void drop_rows(struct pq_rows *rows)
{
    free((void *)rows->rows);
}

static enum rc_code read_rows(const char *path, struct pq_rows *out, struct rc_error *err)
{
    RC_BUF_AUTO(text, LINES_LIMIT_BYTES);

    if (read_lines(path, &text, err))
        return err->code;
    int64_t *rows = calloc(text.len / 2 + 1, sizeof(*rows));
    if (!rows)
        return rc_fail(err, RC_FAILED, "no memory");
    out->rows = rows;
    char *rest = text.data;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (*line && !rc_parse_int(line, &rows[out->len++]))
            return rc_fail(err, RC_INVALID, "'%s' in '%s' is no number", line, path);
    }
    return RC_OK;
}

struct ids {
    struct pq_slice *values;
    size_t len;
    enum pq_order order;
    struct rc_buf bytes;
};

static void drop_ids(struct ids *ids)
{
    free(ids->values);
    rc_buf_clear(&ids->bytes);
}

static bool add_hex(struct rc_buf *out, const char *text)
{
    for (; *text; text += 2) {
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]))
            return false;
        const char byte[] = { text[0], text[1], 0 };
        rc_buf_addc(out, (char)strtoul(byte, NULL, 16));
    }
    return true;
}

/* The buffer moves while it grows, so the values point into it only when all of them are there. */
static enum rc_code read_ids(const char *path, struct ids *out, struct rc_error *err)
{
    RC_BUF_AUTO(text, LINES_LIMIT_BYTES);

    if (read_lines(path, &text, err))
        return err->code;
    out->values = calloc(text.len + 1, sizeof(*out->values));
    if (!out->values)
        return rc_fail(err, RC_FAILED, "no memory");
    if (text.len && text.data[text.len - 1] == '\n')
        rc_buf_truncate(&text, text.len - 1);
    char *rest = text.len ? text.data : NULL;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!add_hex(&out->bytes, line))
            return rc_fail(err, RC_INVALID, "'%s' in '%s' is not hexadecimal", line, path);
        out->values[out->len++].len = (uint32_t)strlen(line) / 2;
    }
    const uint8_t *at = (const uint8_t *)out->bytes.data;
    for (size_t i = 0; i < out->len; at += out->values[i++].len)
        out->values[i].data = at;
    return rc_buf_check(&out->bytes, err);
}

static ptrdiff_t find_id(void *context, struct pq_slice value)
{
    const struct ids *ids = context;

    for (size_t i = 0; i < ids->len; i++)
        if (ids->values[i].len == value.len &&
            (value.len == 0 || memcmp(ids->values[i].data, value.data, value.len) == 0))
            return (ptrdiff_t)i;
    return -1;
}

static int compare_bytes(struct pq_slice a, struct pq_slice b)
{
    uint32_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_numbers(struct pq_slice a, struct pq_slice b, bool is_signed)
{
    for (uint32_t i = a.len; i-- > 0;) {
        uint8_t flip = is_signed && i == a.len - 1 ? 0x80 : 0;
        int order = (a.data[i] ^ flip) - (b.data[i] ^ flip);
        if (order)
            return order;
    }
    return 0;
}

static int compare(const struct ids *ids, struct pq_slice a, struct pq_slice b)
{
    if (ids->order == PQ_ORDER_BYTES)
        return compare_bytes(a, b);
    return compare_numbers(a, b, ids->order == PQ_ORDER_SIGNED);
}

static bool any_id_between(void *context, struct pq_slice least, struct pq_slice greatest)
{
    const struct ids *ids = context;

    for (size_t i = 0; i < ids->len; i++)
        if (compare(ids, least, ids->values[i]) <= 0 && compare(ids, ids->values[i], greatest) <= 0)
            return true;
    return false;
}

static bool each_id(void *context, size_t i, struct pq_slice *value)
{
    const struct ids *ids = context;

    if (i >= ids->len)
        return false;
    *value = ids->values[i];
    return true;
}

/* ---- the verbs ---- */

/* Gives 'write' a new file, which is gone again if it fails. */
static enum rc_code with_output(const char *path, const struct pq_file *file, char **words,
                                enum rc_code (*write)(const struct pq_file *file, char **words,
                                                      const struct pq_sink *sink,
                                                      struct rc_error *err),
                                struct rc_error *err)
{
    FILE *out = fopen(path, "wb");
    if (!out)
        return rc_fail_errno(err, errno, "cannot write '%s'", path);
    const struct pq_sink sink = { .write = write_all, .context = out };
    enum rc_code code = write(file, words, &sink, err);
    if (fclose(out) != 0 && !code)
        code = rc_fail_errno(err, errno, "cannot write '%s'", path);
    if (code)
        unlink(path);
    return code;
}

static enum rc_code write_rewritten(const struct pq_file *file, char **words,
                                    const struct pq_sink *sink, struct rc_error *err)
{
    RC_CLEANUP(drop_rows) struct pq_rows rows = { NULL, 0 };
    struct pq_rewritten done;

    if (read_rows(words[0], &rows, err) || pq_rewrite(file, &rows, sink, NULL, &done, err))
        return err->code;
    printf("{\"rows\": %lld, \"bytes\": %lld, \"groups_copied\": %lld, \"groups_rewritten\": %lld, "
           "\"groups_dropped\": %lld}\n",
           (long long)done.rows, (long long)done.bytes, (long long)done.groups_copied,
           (long long)done.groups_rewritten, (long long)done.groups_dropped);
    return RC_OK;
}

static enum rc_code run_rewrite(const struct pq_file *file, char **words, struct rc_error *err)
{
    return with_output(words[0], file, words + 1, write_rewritten, err);
}

static enum rc_code find_column(const struct pq_file *file, const char *path, size_t *out,
                                struct rc_error *err)
{
    ptrdiff_t column = pq_file_column(file, path);

    if (column < 0)
        return rc_fail(err, RC_NOT_FOUND, "there is no column '%s'", path);
    *out = (size_t)column;
    return RC_OK;
}

static enum rc_code write_projected(const struct pq_file *file, char **words,
                                    const struct pq_sink *sink, struct rc_error *err)
{
    size_t columns[64], count = 0;

    for (; *words; words++) {
        if (count == sizeof(columns) / sizeof(*columns))
            return rc_fail(err, RC_TOO_LARGE, "more than %zu columns", count);
        if (find_column(file, *words, &columns[count++], err))
            return err->code;
    }
    return pq_project(file, columns, count, sink, err);
}

static enum rc_code run_project(const struct pq_file *file, char **words, struct rc_error *err)
{
    return with_output(words[0], file, words + 1, write_projected, err);
}

static enum rc_code print_hit(void *context, int64_t row, size_t which, struct rc_error *err)
{
    (void)context;
    (void)err;
    printf("%lld %zu\n", (long long)row, which);
    return RC_OK;
}

static enum rc_code run_scan(const struct pq_file *file, char **words, struct rc_error *err)
{
    RC_CLEANUP(drop_ids) struct ids ids = { .bytes = RC_BUF_INIT(LINES_LIMIT_BYTES) };
    size_t column = 0;

    if (find_column(file, words[0], &column, err) || read_ids(words[1], &ids, err))
        return err->code;
    ids.order = file->columns[column].order;
    bool is_comparable = ids.order == PQ_ORDER_BYTES || ids.order == PQ_ORDER_SIGNED ||
                         ids.order == PQ_ORDER_UNSIGNED;
    const struct pq_wanted wanted = { .context = &ids,
                                      .find = find_id,
                                      .any_between = is_comparable ? any_id_between : NULL,
                                      .each = each_id };
    const struct pq_scan_options options = { .trusts_statistics = !rc_str_eq(words[2], "all") };
    struct pq_scanned scanned = { 0 };

    if (pq_scan(file, column, &wanted, &options, print_hit, NULL, &scanned, err))
        return err->code;
    fprintf(stderr, "groups skipped %lld, read %lld, bytes %lld\n",
            (long long)scanned.groups_skipped, (long long)scanned.groups_read,
            (long long)scanned.bytes_read);
    return RC_OK;
}

static enum rc_code run_digest(const struct pq_file *file, char **words, struct rc_error *err)
{
    RC_CLEANUP(drop_rows) struct pq_rows rows = { NULL, 0 };
    RC_BUF_AUTO(digests, LINES_LIMIT_BYTES);

    if ((words[0] && read_rows(words[0], &rows, err)) || pq_digest(file, &rows, &digests, err))
        return err->code;
    for (size_t column = 0; column < file->column_count; column++) {
        for (size_t i = 0; i < PQ_DIGEST; i++)
            printf("%02x", (unsigned char)digests.data[column * PQ_DIGEST + i]);
        printf("  %s\n", file->columns[column].path);
    }
    return RC_OK;
}

static enum rc_code run_show(const struct pq_file *file, char **words, struct rc_error *err)
{
    static const char *const types[] = { "boolean", "int32",  "int64",      "int96",
                                         "float",   "double", "byte_array", "fixed" };
    (void)words;
    (void)err;
    printf("%lld rows, %zu row groups, %zu columns\n", (long long)file->row_count,
           file->group_count, file->column_count);
    for (size_t i = 0; i < file->column_count; i++) {
        const struct pq_column *column = &file->columns[i];
        printf("column '%s': %s, %d bytes, definition %d, repetition %d, order %d, meaning %d\n",
               column->path, types[column->type], (int)column->width, column->max_definition,
               column->max_repetition, (int)column->order, (int)column->meaning);
    }
    for (size_t i = 0; i < file->group_count; i++) {
        printf("group %zu: %lld rows\n", i, (long long)file->groups[i].row_count);
        for (size_t k = 0; k < file->column_count; k++) {
            const struct pq_chunk *chunk = &file->groups[i].chunks[k];
            printf("  '%s': %lld values, %s, %lld bytes at %lld, bloom filter at %lld, indexes at "
                   "%lld and %lld\n",
                   file->columns[k].path, (long long)chunk->value_count,
                   pq_codec_name(chunk->codec), (long long)chunk->len, (long long)chunk->start,
                   (long long)chunk->bloom_offset, (long long)chunk->column_index_offset,
                   (long long)chunk->offset_index_offset);
        }
    }
    return RC_OK;
}

/* ---- the command line ---- */

static const struct verb {
    const char *name;
    int least_words, most_words; /* behind IN */
    enum rc_code (*run)(const struct pq_file *file, char **words, struct rc_error *err);
} verbs[] = {
    { .name = "rewrite", .least_words = 2, .most_words = 2, .run = run_rewrite },
    { .name = "scan", .least_words = 2, .most_words = 3, .run = run_scan },
    { .name = "project", .least_words = 2, .most_words = 64, .run = run_project },
    { .name = "digest", .least_words = 0, .most_words = 1, .run = run_digest },
    { .name = "show", .least_words = 0, .most_words = 0, .run = run_show },
};

static enum rc_code run(const struct verb *verb, char **words, struct rc_error *err)
{
    RC_CLEANUP(close_fd) int fd = -1;
    struct pq_source source;
    struct pq_file opened;

    if (open_source(words[0], &fd, &source, err) ||
        pq_file_open(&opened, &source, FOOTER_LIMIT_BYTES, err))
        return err->code;
    RC_CLEANUP(drop_file) struct pq_file *file = &opened;
    return verb->run(file, words + 1, err);
}

int main(int argc, char **argv)
{
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; argc > 2 && i < sizeof(verbs) / sizeof(*verbs); i++) {
        const struct verb *verb = &verbs[i];
        if (!rc_str_eq(argv[1], verb->name) || argc - 3 < verb->least_words ||
            argc - 3 > verb->most_words)
            continue;
        if (!run(verb, argv + 2, &err))
            return 0;
        fprintf(stderr, "%s: %s%s%s\n", rc_code_name(err.code), err.context,
                err.context[0] ? ": " : "", err.cause);
        return 1;
    }
    fputs("usage: parquet-tool rewrite IN OUT ROWS-FILE | scan IN COLUMN IDS-FILE [all] | "
          "project IN OUT COLUMN... | digest IN [ROWS-FILE] | show IN\n",
          stderr);
    return USAGE;
}
