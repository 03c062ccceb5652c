/*
 * What the files of state/ share: statements and the values in them.
 *
 * Names that come from stores and messages about them may be any bytes, so they are kept as such:
 * PostgreSQL takes no text that is not UTF-8. They compare by their bytes on every server.
 */
#ifndef SDRS_STATE_INTERNAL_H
#define SDRS_STATE_INTERNAL_H

#include "state.h"

#include <run-core/buf.h>

extern const struct rc_migration sdrs_migrations[];
extern const size_t sdrs_migration_count;

/* Borrows; NULL gives NULL. */
struct rc_value sdrs_bytes(const char *text);
/* Text or bytes as an owned text; NULL for NULL. */
char *sdrs_owned(const struct rc_value *cell);
/* Sets '*text' to a copy. */
void sdrs_set(char **text, const char *to);

/* 'items' with room for one more behind 'count' of them, each 'size' bytes; it is zeroed. */
void *sdrs_grown(void *items, size_t count, size_t size);
/* The place of a name in a table; the last for one that only somebody else can have written. */
size_t sdrs_place_of(const char *const *names, size_t count, const char *name);

RC_MUST_CHECK enum rc_code sdrs_state_exec(struct sdrs_state *state, const char *statement,
                                           const struct rc_value *params, size_t count,
                                           int64_t *changed, struct rc_error *err);
/* Hands each row to 'take', which copies. */
typedef void sdrs_row_fn(void *context, const struct rc_value *row);
RC_MUST_CHECK enum rc_code sdrs_state_rows(struct sdrs_state *state, const char *statement,
                                           const struct rc_value *params, size_t count,
                                           sdrs_row_fn *take, void *context, struct rc_error *err);
/* The first cell of the only row as a number; 0 without a row. */
RC_MUST_CHECK enum rc_code sdrs_state_count(struct sdrs_state *state, const char *statement,
                                            const struct rc_value *params, size_t count,
                                            int64_t *out, struct rc_error *err);

/* Says what was attempted, but of what was refused, whose words stand alone. */
enum rc_code sdrs_state_failed(const struct sdrs_state *state, struct rc_error *err,
                               const char *format, ...) RC_PRINTF(3, 4);

#endif
