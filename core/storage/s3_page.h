/*
 * One page of an S3 listing, read from its XML. Pure: asks nobody.
 */
#ifndef CORE_STORAGE_S3_PAGE_H
#define CORE_STORAGE_S3_PAGE_H

#include <storage/backend.h>

/* How a server is asked for the page behind another. */
enum core_s3_dialect {
    CORE_S3_BY_TOKEN,   /* ListObjectsV2 */
    CORE_S3_BY_MARKER,  /* ListObjects, for servers that know no other */
    CORE_S3_BY_VERSION, /* ListObjectVersions */
};

/* Where a page begins. */
struct core_s3_page_place {
    char *token;       /* or NULL */
    char *start_after; /* whole key, or NULL */
    char *version;     /* CORE_S3_BY_VERSION: of start_after, or NULL */
};

/* Names are relative to the prefix; they and the other texts lie in the arena. */
struct core_s3_page {
    struct core_arena arena;
    struct core_listed *items;
    size_t count;
    bool is_truncated;
    struct core_s3_page_place next;
    enum core_s3_dialect dialect; /* that the server has spoken */
};

void core_s3_page_clear(struct core_s3_page *page);
void core_s3_page_place_clear(struct core_s3_page_place *place);

/*
 * Reads the answer to what was asked in 'asked'. 'page' is empty, and to be cleared in any case.
 * RC_CORRUPT: it is not well-formed, or contradicts itself. RC_UNSUPPORTED: it is out of order.
 */
RC_MUST_CHECK enum rc_code core_s3_page_read(const char *prefix, enum core_s3_dialect asked,
                                             const struct rc_buf *body, struct core_s3_page *page,
                                             struct rc_error *err);

#endif
