/*
 * The parts of 'verify': one object read back and compared with what the manifest says of it.
 */
#ifndef EGRESS_VERIFY_H
#define EGRESS_VERIFY_H

#include "compress.h"
#include "manifest.h"

#include <stdatomic.h>

enum { EGRESS_PROBLEMS_LIMIT = 16 << 10 }; /* bytes, of an object */

/* What was found of an object of the manifest. */
struct egress_checked {
    const struct egress_manifest_table *table;
    const struct egress_manifest_object *object;
    int64_t listed_bytes;   /* as the folder's listing says; -1: it is not there */
    struct rc_buf problems; /* a line each, which begins with the key; empty: all is well */
};

struct egress_verification {
    const struct egress_manifest *manifest;
    const char *folder;                    /* URI, ends with '/' */
    const char *shown;                     /* the same for people */
    struct egress_compression compression; /* of csv */
    bool counts_rows;
    struct egress_checked *objects; /* in the order of the manifest */
    size_t count;
    struct egress_checked **order; /* the same, in which they are read: the largest first */
    atomic_int_least64_t done_bytes;
    int64_t total_bytes;
};

/*
 * Checks order[index] of the verification that 'context' is; for rc_parallel(). What is not as it
 * should be becomes a problem, an error is only what says nothing of the object: no answer, no
 * permission, replaced while it was read.
 */
enum rc_code egress_verify_object(struct rc_job *job, void *context, size_t index,
                                  struct rc_error *err);

#endif
