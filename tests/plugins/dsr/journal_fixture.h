/*
 * A journal on the fake host, for the tests of what keeps it and what reads it.
 */
#ifndef TESTS_DSR_JOURNAL_FIXTURE_H
#define TESTS_DSR_JOURNAL_FIXTURE_H

#include <run-core/fake_host.h>

#include "journal_internal.h"

struct fixture {
    struct rc_fake_host *host;
    struct rc_job *job;
    struct dsr_config config;
    struct dsr_places places;
    struct dsr_journal *journal;
};

/* Opens one on a host; NULL makes one. The settings come to those of every run; or NULL. */
struct fixture *fixture_new(struct rc_fake_host *host, const char *const *settings);
/* Frees the host too, if it is the fixture's own. */
void fixture_free(struct fixture *fixture);
/* Closes the journal and opens it again, as the next run on the same host. */
void fixture_next_run(struct fixture *fixture);

/* The first cell of a query on the journal's tables, as a number. */
int64_t fixture_number(struct fixture *fixture, const char *query);
void fixture_change(struct fixture *fixture, const char *statement);

/* An intent on an object, as a run makes it, that erases 'rows' rows of a user. */
struct dsr_intent fixture_intend(struct fixture *fixture, int32_t shard, const char *uri,
                                 const char *etag, const char *digest, const char *user,
                                 int64_t rows);
/* Fulfils a request of a user, whose marker is of day 20000. */
void fixture_fulfil(struct fixture *fixture, int32_t shard, const char *user);
struct pq_slice fixture_slice(const char *text);

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

#endif
