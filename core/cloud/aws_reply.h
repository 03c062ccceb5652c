/*
 * What those who hand out AWS credentials reply. Pure: no I/O. Texts of a reply that may be secret
 * are in no error.
 */
#ifndef CORE_CLOUD_AWS_REPLY_H
#define CORE_CLOUD_AWS_REPLY_H

#include <cloud/aws_keys.h>

#include <base/arena.h>

struct core_node;

enum core_aws_reply {
    CORE_AWS_REPLY_METADATA, /* of a machine or a container */
    CORE_AWS_REPLY_PROCESS,  /* of a credential process: Version 1, may be without an end */
    CORE_AWS_REPLY_SSO,      /* of the portal of IAM Identity Center */
};

/* The text of a member, not empty; or NULL. */
const char *core_aws_json_text(const struct core_node *map, const char *name);

/* 'out' is empty before. RC_CORRUPT: there are no credentials in it; says what is missing. */
RC_MUST_CHECK enum rc_code core_aws_keys_from_json(enum core_aws_reply kind, const char *text,
                                                   size_t len, struct core_aws_keys *out,
                                                   struct rc_error *err);
/* The same for the XML of the token service. */
RC_MUST_CHECK enum rc_code core_aws_keys_from_xml(const char *text, size_t len,
                                                  struct core_aws_keys *out, struct rc_error *err);

/* As AWS writes points in time, also old tools: "2020-06-17T10:02:08UTC". */
bool core_aws_parse_time(const char *text, int64_t *out_unix_ms);

enum { CORE_AWS_CODE_TEXT = 96 };

/* What a reply says of a failure, in XML or JSON. "": not said. Masked, on one line. */
struct core_aws_failure {
    char code[CORE_AWS_CODE_TEXT]; /* "ExpiredTokenException" */
    char message[4 * CORE_AWS_CODE_TEXT];
    char request_id[CORE_AWS_CODE_TEXT];
};

void core_aws_read_failure(const struct core_http_answer *answer, struct core_aws_failure *out);
/* The judge of requests for credentials: what may pass is asked for again. */
enum core_http_verdict core_aws_judge(void *context, const struct core_http_answer *answer);
/* The error of an answer whose status is not 200. */
enum rc_code core_aws_fail(const struct core_http_answer *answer, int64_t now_unix_ms,
                           struct rc_error *err);

#endif
