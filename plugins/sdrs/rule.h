/*
 * Rules, and what is a valid one.
 *
 * Pure.
 */
#ifndef SDRS_RULE_H
#define SDRS_RULE_H

#include "config.h"

#include <run-core/buf.h>

enum sdrs_rule_type { SDRS_DATASET, SDRS_DEFAULT, SDRS_GLOBAL, SDRS_RULE_TYPES };
enum sdrs_unit { SDRS_DAY, SDRS_MONTH, SDRS_VERSION, SDRS_UNITS };

enum { SDRS_MAX_DAYS = 1095, SDRS_MAX_MONTHS = 84, SDRS_MAX_VERSIONS = 30, SDRS_MONTH_DAYS = 30 };

/* "DATASET", ... and "DAY", ...; the parse takes any case and is false for another word. */
const char *sdrs_rule_type_name(enum sdrs_rule_type type);
bool sdrs_rule_type_parse(const char *text, enum sdrs_rule_type *out);
const char *sdrs_unit_name(enum sdrs_unit unit);
bool sdrs_unit_parse(const char *text, enum sdrs_unit *out);

/* Text is owned. */
struct sdrs_rule {
    int64_t id, version;
    enum sdrs_rule_type type;
    char *project, *storage, *dataset; /* the last is a label: by default the path, or the bucket */
    int64_t period;
    enum sdrs_unit unit;
    bool is_active;
    bool is_configured; /* it came from 'rules' of the configuration */
    char *user;         /* who made this version */
    int64_t created_unix_ms, changed_unix_ms;
};

void sdrs_rule_clear(struct sdrs_rule *rule);

struct sdrs_rules {
    struct sdrs_rule *items;
    size_t count;
};

void sdrs_rules_clear(struct sdrs_rules *rules);

/* What somebody asks a rule to be. What is NULL was not said. Borrowed. */
struct sdrs_rule_request {
    const char *type, *storage, *project, *unit, *dataset;
    bool has_period;
    int64_t period;
};

/*
 * The messages of all that is wrong with it, in the order of the seed's checks: type, storage name,
 * project, period, unit; each as "message", separated by ", ". Empty: nothing is.
 * sdrs_key_mistakes() is of what names a rule alone, as the query of GET and DELETE does;
 * sdrs_period_mistakes() of what an update has, for a rule whose unit is 'unit'.
 */
void sdrs_rule_mistakes(const struct sdrs_rule_request *request, const struct sdrs_config *config,
                        struct rc_buf *out);
void sdrs_key_mistakes(const struct sdrs_rule_request *request, const struct sdrs_config *config,
                       struct rc_buf *out);
void sdrs_period_mistakes(const struct sdrs_rule_request *request, enum sdrs_unit unit,
                          struct rc_buf *out);

/*
 * The rule that a request without mistakes means: GLOBAL under the configured project and name,
 * DEFAULT cut to its bucket, the dataset's label made of the path, the unit DAY. It is active;
 * ids, version, user and times are the state's. RC_INVALID: "Invalid input: ...".
 */
RC_MUST_CHECK enum rc_code sdrs_rule_make(const struct sdrs_rule_request *request,
                                          const struct sdrs_config *config, struct sdrs_rule *out,
                                          struct rc_error *err);

/* The retention of a rule by days or months, not by versions. */
int64_t sdrs_retention_ms(const struct sdrs_rule *rule);

#endif
