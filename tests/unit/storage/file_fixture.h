/*
 * A folder of its own for each test of the file backend, and a few words for what they do there.
 */
#ifndef FILE_FIXTURE_H
#define FILE_FIXTURE_H

#include "storage_conformance.h"

extern char folder[64];
extern struct core_storage *storage;

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

int set_up(void **state);
int tear_down(void **state);
char *path(const char *name);
char *uri(const char *name);
enum rc_code put(const char *name, const char *text, struct rc_error *err);
enum rc_code drop(const char *name, struct rc_error *err);
bool exists(const char *name);
/* How many entries a folder has, hidden ones included. */
int entries(const char *name);
void assert_content(const char *where, const char *text);
/* Names behind the prefix, each with a blank behind. */
void assert_listing(struct core_storage *in, const char *prefix, bool shallow,
                    const char *expected);

#endif
