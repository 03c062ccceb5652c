/*
 * Whether a text is a value of an Avro type in Avro's JSON encoding, as its specification says it.
 */
#ifndef TESTS_SDRS_AVRO_JSON_H
#define TESTS_SDRS_AVRO_JSON_H

#include <jansson.h>

/* The schemas of a file below tests/data; json_decref() it. Fails the test if there are none. */
json_t *avro_schemas(const char *name);
/*
 * Fails the test unless 'text' is a record of that name, and returns it. Members may be in any
 * order, but there may be no others.
 */
json_t *avro_expect_record(json_t *schemas, const char *name, const char *text);

#endif
