/*
 * What other people's stores answered, as it is kept in tests/data/sparql.
 */
#ifndef TESTS_PLUGINS_DELTA_INITIATOR_RECORDED_H
#define TESTS_PLUGINS_DELTA_INITIATOR_RECORDED_H

#include <run-core/buf.h>

/* Appends the file; ends the test if there is none. */
void recorded_load(const char *name, struct rc_buf *out);

#endif
