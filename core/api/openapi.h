/*
 * The routes for programs and for people.
 */
#ifndef CORE_API_OPENAPI_H
#define CORE_API_OPENAPI_H

#include <run-core/buf.h>

/* Appends the OpenAPI 3.1 document. */
void core_openapi_add_json(const char *version, struct rc_buf *out);
/* Appends the reference, for the documentation and for the terminal. */
void core_openapi_add_markdown(struct rc_buf *out);
void core_openapi_add_text(struct rc_buf *out);

#endif
