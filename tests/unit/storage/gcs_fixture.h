/*
 * A store at the stand-in for Google Cloud Storage that the environment names (see
 * support/with-gcs), and ways to make it fail.
 */
#ifndef GCS_FIXTURE_H
#define GCS_FIXTURE_H

#include <storage/backend.h>
#include <storage/remote.h>
#include <storage/storage.h>

struct gcs_world {
    const char *endpoint;
    struct core_settings settings; /* with short pauses */
    struct core_store_settings store;
    struct core_remote *remote;
    struct core_storage *storage;
};

/* 'store' gives what is to differ; NULL: nothing. */
void gcs_world_open(struct gcs_world *world, const struct core_store_settings *store);
/* Also empties the bucket and forgets the rules. */
void gcs_world_close(struct gcs_world *world);

/* Sends JSON to the stand-in's control: rules and settings; see support/gcs.py. */
void gcs_control(const char *json);
/* Sends JSON to a path of the stand-in, as who needs no token. */
void gcs_post(const char *path, const char *json);
/* How often the stand-in was called with 'method' and a target that has 'part' in it. */
size_t gcs_calls(const char *method, const char *part);
/* How many of its calls had this header with that value. */
size_t gcs_headers(const char *name, const char *value);

/* "gs://BUCKET/name". Freed by the caller. */
char *gcs_uri(const char *name);
/* The same as a backend gets it; its texts belong to the fixture until the next place. */
struct core_place_in_store gcs_place(struct gcs_world *world, const char *name);

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

#endif
