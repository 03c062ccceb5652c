/*
 * The users of a shard: their ids as bytes, whatever bytes they are, and the same as values of a
 * column. Ids are data: they are looked up, never written into a statement. Pure; once frozen,
 * shared by threads.
 */
#ifndef DSR_USERS_H
#define DSR_USERS_H

#include "parquet/scan.h"

struct dsr_users; /* a sorted set */

struct dsr_users *dsr_users_new(void);
void dsr_users_free(struct dsr_users *users);
/* Copies the id; one that is there already is not added. */
RC_MUST_CHECK enum rc_code dsr_users_add(struct dsr_users *users, const void *id, size_t len,
                                         struct rc_error *err);
RC_MUST_CHECK enum rc_code dsr_users_freeze(struct dsr_users *users, struct rc_error *err);
size_t dsr_users_count(const struct dsr_users *users);
struct pq_slice dsr_users_at(const struct dsr_users *users, size_t i);
ptrdiff_t dsr_users_find(const struct dsr_users *users, struct pq_slice id);

/*
 * The ids as the physical values of a column: as they stand, or numbers, or UUIDs; an id that is
 * none in this column is not in it. 'part' of 'parts' is the piece of the id between separators
 * that this column holds (0 of 1: all of it). What pq_scan() reports as 'which' is turned into
 * users by dsr_wanted_users(): with parts, several may share one.
 */
struct dsr_wanted;
RC_MUST_CHECK enum rc_code dsr_wanted_new(const struct dsr_users *users,
                                          const struct pq_column *column, const char *separator,
                                          size_t part, size_t parts, struct dsr_wanted **out,
                                          struct rc_error *err);
void dsr_wanted_free(struct dsr_wanted *wanted);
const struct pq_wanted *dsr_wanted_ask(const struct dsr_wanted *wanted);
/* The users that have this value (part), rising; borrowed. */
const uint32_t *dsr_wanted_users(const struct dsr_wanted *wanted, size_t which, size_t *count);

#endif
