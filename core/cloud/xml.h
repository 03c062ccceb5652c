/*
 * XML that servers send, read as it comes. On expat, which is loaded at the first use. Depth and
 * texts are limited, and a document type declaration is refused, so that no entity is ever defined.
 */
#ifndef CORE_CLOUD_XML_H
#define CORE_CLOUD_XML_H

#include <run-core/error.h>

#include <stdbool.h>
#include <stddef.h>

/* A code other than RC_OK ends the reading with it and what is in 'err'. */
struct core_xml_events {
    /*
     * An element begins or ends. 'path' has the names from the root on, without prefixes of
     * namespaces: "ListBucketResult/Contents/Key". 'text' is the element's own, with a NUL behind;
     * of one that has others inside it is blanks or nothing.
     */
    enum rc_code (*begin)(void *context, const char *path, struct rc_error *err); /* or NULL */
    enum rc_code (*end)(void *context, const char *path, const char *text, size_t len,
                        struct rc_error *err);
    void *context;
    /* Or NULL. Just before 'end': the document's bytes from 'begin' to before 'behind' are it. */
    void (*span)(void *context, const char *path, size_t begin, size_t behind);
};

/*
 * Reads a whole document. RC_CORRUPT: it is not well-formed, or beyond the limits; what was told
 * until then is not to be trusted. RC_NOT_FOUND, RC_UNSUPPORTED: expat is not installed.
 */
RC_MUST_CHECK enum rc_code core_xml_read(const char *data, size_t len,
                                         const struct core_xml_events *events,
                                         struct rc_error *err);

#endif
