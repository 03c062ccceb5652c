/*
 * Takes CSV apart, byte by byte. What the fields mean is the caller's business.
 */
#include "csv.h"

#include <string.h>

/* Where the next byte stands: before a row or a field, in one, in quotes, behind one in them. */
enum { ROW, FIELD, PLAIN, QUOTED, QUOTE };

static const char mark[] = "\xef\xbb\xbf";

void sdrs_csv_init(struct sdrs_csv *csv, sdrs_csv_row_fn *row, void *context)
{
    *csv = (struct sdrs_csv){ .row = row, .context = context, .line = 1, .state = ROW };
    rc_buf_init(&csv->text, SDRS_CSV_ROW_BYTES);
}

void sdrs_csv_clear(struct sdrs_csv *csv)
{
    rc_buf_clear(&csv->text);
}

static enum rc_code begin_field(struct sdrs_csv *csv, struct rc_error *err)
{
    if (csv->count == SDRS_CSV_FIELDS)
        return rc_fail(err, RC_TOO_LARGE, "line %zu has more than %d fields", csv->row_line,
                       SDRS_CSV_FIELDS);
    csv->begins[csv->count++] = csv->text.len;
    csv->state = FIELD;
    return RC_OK;
}

static void end_field(struct sdrs_csv *csv)
{
    rc_buf_addc(&csv->text, '\0');
}

static enum rc_code end_row(struct sdrs_csv *csv, struct rc_error *err)
{
    const char *items[SDRS_CSV_FIELDS];
    const struct rc_strs fields = { csv->count, items };
    bool is_quoted = csv->state == QUOTE, is_empty;

    /* Of CRLF; behind a quote it was not added. */
    if (!is_quoted && csv->text.len > csv->begins[csv->count - 1] &&
        csv->text.data[csv->text.len - 1] == '\r')
        rc_buf_truncate(&csv->text, csv->text.len - 1);
    end_field(csv);
    if (csv->text.overflow)
        return rc_fail(err, RC_TOO_LARGE, "line %zu begins a row of more than %d bytes",
                       csv->row_line, SDRS_CSV_ROW_BYTES);
    for (size_t i = 0; i < csv->count; i++)
        items[i] = csv->text.data + csv->begins[i];
    is_empty = csv->count == 1 && !is_quoted && items[0][0] == '\0';
    csv->state = ROW;
    csv->count = 0;
    if (!is_empty && csv->row(csv->context, csv->row_line, &fields, err))
        return err->code;
    rc_buf_reset(&csv->text);
    return RC_OK;
}

/* A byte that is in no quotes. */
static enum rc_code read_plain(struct sdrs_csv *csv, char c, struct rc_error *err)
{
    if (c == '\n')
        return end_row(csv, err);
    if (c == ',') {
        end_field(csv);
        return begin_field(csv, err);
    }
    if (csv->state == QUOTE) {
        if (c != '\r')
            return rc_fail(err, RC_INVALID, "line %zu has something behind a closing quote",
                           csv->line);
        return RC_OK;
    }
    if (csv->state == FIELD && c == '"') {
        csv->state = QUOTED;
        return RC_OK;
    }
    csv->state = PLAIN;
    rc_buf_addc(&csv->text, c);
    return RC_OK;
}

static enum rc_code read_byte(struct sdrs_csv *csv, char c, struct rc_error *err)
{
    if (c == '\0')
        return rc_fail(err, RC_INVALID, "line %zu has a NUL byte", csv->line);
    if (csv->state == ROW) {
        csv->row_line = csv->line;
        if (begin_field(csv, err))
            return err->code;
    }
    if (csv->state == QUOTED) {
        if (c == '"')
            csv->state = QUOTE;
        else
            rc_buf_addc(&csv->text, c);
        return RC_OK;
    }
    if (csv->state == QUOTE && c == '"') {
        csv->state = QUOTED;
        rc_buf_addc(&csv->text, c);
        return RC_OK;
    }
    return read_plain(csv, c, err);
}

/* What only began as a mark is text. */
static enum rc_code begin(struct sdrs_csv *csv, struct rc_error *err)
{
    csv->is_begun = true;
    for (size_t i = 0; i < csv->marked; i++)
        if (read_byte(csv, mark[i], err))
            return err->code;
    return RC_OK;
}

enum rc_code sdrs_csv_read(struct sdrs_csv *csv, const char *data, size_t len, struct rc_error *err)
{
    for (size_t i = 0; i < len; i++) {
        if (!csv->is_begun && data[i] == mark[csv->marked]) {
            csv->marked++;
            csv->is_begun = csv->marked == strlen(mark);
            continue;
        }
        if ((!csv->is_begun && begin(csv, err)) || read_byte(csv, data[i], err))
            return err->code;
        csv->line += data[i] == '\n';
    }
    return RC_OK;
}

enum rc_code sdrs_csv_end(struct sdrs_csv *csv, struct rc_error *err)
{
    if (!csv->is_begun && begin(csv, err))
        return err->code;
    if (csv->state == ROW)
        return RC_OK;
    if (csv->state == QUOTED)
        return rc_fail(err, RC_INVALID, "line %zu begins a row with a quote that is never closed",
                       csv->row_line);
    return end_row(csv, err);
}
