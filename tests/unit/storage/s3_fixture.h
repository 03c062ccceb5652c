/*
 * A bucket of its own for each test, at the S3 server that the environment names; see
 * support/with-ceph.
 */
#ifndef S3_FIXTURE_H
#define S3_FIXTURE_H

#include <storage/s3.h>
#include <storage/storage.h>

struct s3_world {
    struct core_settings settings; /* with short pauses */
    struct core_store_settings store;
    struct core_remote *remote;
    struct core_storage *storage;
    char bucket[64];
};

/* 'store' gives what is to differ; NULL: nothing. */
void s3_world_open(struct s3_world *world, const struct core_store_settings *store);
/* Also looks that no upload is pending, and removes the bucket. */
void s3_world_close(struct s3_world *world);

/* A request to the bucket, such as PUT of "&versioning". */
void s3_world_tell(struct s3_world *world, const char *method, const char *query, const char *body);

/* "s3://BUCKET/name". Freed by the caller. */
char *s3_uri(const struct s3_world *world, const char *name);
/* The same as a backend gets it; 'name' has to live as long. */
struct core_place_in_store s3_place(struct s3_world *world, const char *name);
size_t s3_pending(struct s3_world *world);

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

#endif
