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
/* Tells these users from all others of the process, for as long as it lives. */
uint64_t dsr_users_number(const struct dsr_users *users);
size_t dsr_users_count(const struct dsr_users *users);
struct pq_slice dsr_users_at(const struct dsr_users *users, size_t i);
ptrdiff_t dsr_users_find(const struct dsr_users *users, struct pq_slice id);

/*
 * The ids as the physical values of a column: as they stand, or numbers, or UUIDs; an id that is
 * none in this column is not in it ("007" is no 7). The first for a column of users without a
 * separator may take a while, further ones of such columns share it. RC_UNSUPPORTED: no id can be
 * compared with this column.
 *
 * Of several columns that make up the id, with 'separator' between them, this one is 'part' of
 * 'parts'. Then the value is that of a way to cut an id in so many pieces, and as an id that holds
 * the separator can be cut in several ways, all of them are looked for: a row is a user's if its
 * values are all the pieces of one way. RC_TOO_LARGE: there are too many ways.
 */
struct dsr_wanted;
RC_MUST_CHECK enum rc_code dsr_wanted_new(const struct dsr_users *users,
                                          const struct pq_column *column, const char *separator,
                                          size_t part, size_t parts, struct dsr_wanted **out,
                                          struct rc_error *err);
void dsr_wanted_free(struct dsr_wanted *wanted);
const struct pq_wanted *dsr_wanted_ask(const struct dsr_wanted *wanted);
/* The users, or the ways, that have the value which pq_scan() reports; rising; borrowed. */
const uint32_t *dsr_wanted_ways(const struct dsr_wanted *wanted, size_t which, size_t *count);
/* The user of a way; without parts the way is the user. */
uint32_t dsr_wanted_user(const struct dsr_wanted *wanted, uint32_t way);

#endif
