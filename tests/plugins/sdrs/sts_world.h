/*
 * Records of the mover 'sts' for tests, and the transfer jobs that Google's service has of them.
 */
#ifndef TESTS_SDRS_STS_WORLD_H
#define TESTS_SDRS_STS_WORLD_H

#include "google_world.h"
#include "mover/sts.h"

/* What is moved, and its record, as 'execute' has them. */
struct moving {
    struct sdrs_prefixes includes, excludes;
    struct sdrs_record record;
    struct sdrs_move move;
};
void moving_clear(struct moving *moving);
#define MOVING_AUTO(name) RC_CLEANUP(moving_clear) struct moving name = { .record = { .id = 0 } }

/* Of rule 7 in gs://events/, or of delete markers; prefixes as the state has them, "a/\nb/\n". */
void make(struct google_world *world, struct moving *out, const char *type, const char *includes,
          const char *excludes);
void move(struct google_world *world, struct moving *moving);
/* Moves, and that it fails so. */
void expect_error(struct google_world *world, struct moving *moving, const char *message);

/* The one record that a process has left running; false: there is none. */
bool find_running(struct google_world *world, struct sdrs_record *out);

/* "p0000/\np0001/\n..."; the caller frees it. */
char *numbered(int count);

/* A condition that a request has; the caller drops it. NULL: it has not. */
json_t *condition(struct google_world *world, size_t request, const char *name);
size_t condition_count(struct google_world *world, size_t request, const char *name);

/* The next look at a job has this, times and conditions as in JSON. */
void answer_job(struct google_world *world, const char *name, const char *status,
                const char *changed, const char *operation, const char *conditions);
/* The same of "transferOperations/1", with a list of includes. */
void answer_operation(struct google_world *world, const char *start, const char *includes);

#endif
