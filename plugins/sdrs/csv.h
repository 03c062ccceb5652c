/*
 * CSV by RFC 4180, in pieces as they come: quotes are doubled within quotes, lines end with LF or
 * CRLF, also within quotes. Lines without anything are passed over, and so is a byte-order mark.
 *
 * Pure.
 */
#ifndef SDRS_CSV_H
#define SDRS_CSV_H

#include <run-core/buf.h>
#include <run-core/option.h>

#include <stddef.h>

enum { SDRS_CSV_FIELDS = 256, SDRS_CSV_ROW_BYTES = 1 << 20 };

/* The fields of a row, which begins on that line (from 1); borrowed until it returns. */
typedef enum rc_code sdrs_csv_row_fn(void *context, size_t line, const struct rc_strs *fields,
                                     struct rc_error *err);

struct sdrs_csv {
    sdrs_csv_row_fn *row;
    void *context;
    struct rc_buf text; /* of the row's fields, each with its NUL */
    size_t begins[SDRS_CSV_FIELDS];
    size_t count; /* fields begun */
    size_t line, row_line;
    size_t marked; /* bytes of a byte-order mark that the text may begin with */
    bool is_begun;
    int state;
};

void sdrs_csv_init(struct sdrs_csv *csv, sdrs_csv_row_fn *row, void *context);
void sdrs_csv_clear(struct sdrs_csv *csv);

/*
 * RC_INVALID: a quote that is never closed, or with something behind it; a NUL. RC_TOO_LARGE: a row
 * of more bytes or fields. Both name the line. What a row returns is returned.
 */
RC_MUST_CHECK enum rc_code sdrs_csv_read(struct sdrs_csv *csv, const char *data, size_t len,
                                         struct rc_error *err);
/* The end of the text, which may end without a line feed. */
RC_MUST_CHECK enum rc_code sdrs_csv_end(struct sdrs_csv *csv, struct rc_error *err);

#endif
