/*
 * What is aggregated, resolved from the options: measures with the columns that they need in files,
 * group keys and filters. Pure.
 */
#ifndef AGGREGATOR_MODEL_H
#define AGGREGATOR_MODEL_H

#include "config.h"

enum { AGG_TYPE_TEXT = 32 };

/* A type of the option 'type', brought to the names of rc_sql_column. */
struct agg_type {
    char name[AGG_TYPE_TEXT];
    char sum[AGG_TYPE_TEXT]; /* of a sum of such values; empty: they cannot be summed */
    bool inexact;            /* a sum depends on the order of the summands */
    bool is_text;
};

/* False: no such type. */
bool agg_type_parse(const char *text, struct agg_type *out);
/* For messages. */
extern const char agg_type_names[];

struct agg_measure {
    const char *path, *column;
    struct agg_type type;
    enum agg_aggregate aggregate;
};

struct agg_key {
    const char *path, *column;
    struct agg_type type;
};

struct agg_model {
    const char *event_name;
    const struct agg_config *config;
    struct agg_measure *measures;
    size_t measure_count;
    struct agg_key *keys;
    size_t key_count;
    bool has_distinct; /* distinct values of each day are kept apart */
    /* A result may be made from an earlier result and the days since, to the same bytes. */
    bool mergeable;
};

/* RC_INVALID: the options contradict each other. On RC_OK to be cleared. */
RC_MUST_CHECK enum rc_code agg_model_make(const struct agg_config *config, struct agg_model *out,
                                          struct rc_error *err);
void agg_model_clear(struct agg_model *model);

/* The type of a measure's result. */
const char *agg_measure_type(const struct agg_measure *measure);

/* The columns of the daily and the window files, in order. */
enum { AGG_NAME_TEXT = 96 };
struct agg_column {
    char name[AGG_NAME_TEXT];
    char type[AGG_TYPE_TEXT];
};
struct agg_columns {
    struct agg_column *items;
    size_t count;
};
void agg_model_columns(const struct agg_model *model, struct agg_columns *out);
void agg_columns_clear(struct agg_columns *columns);
/* The same as a table takes them, with their texts; freed with free(). */
struct rc_sql_column *agg_columns_of_table(const struct agg_columns *columns);

#endif
