/*
 * A walk through what is to be moved, in the order of the keys; each prefix is read once, and of
 * what is excluded as little as can be.
 */
#ifndef SDRS_WALK_H
#define SDRS_WALK_H

#include "mover.h"

struct sdrs_walk;

/* 'move' is borrowed. Nothing is listed yet. */
struct sdrs_walk *sdrs_walk_new(struct rc_job *job, const struct sdrs_move *move);
/* The next one, valid until the following call; '*key' is NULL behind the last. */
RC_MUST_CHECK enum rc_code sdrs_walk_next(struct sdrs_walk *walk, const char **key,
                                          const struct rc_stat **stat, struct rc_error *err);
void sdrs_walk_free(struct sdrs_walk *walk);

#endif
