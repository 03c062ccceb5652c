/*
 * Writes YAML, node by node: whatever a text holds, it is read back as that text.
 */
#ifndef CORE_CLI_EXPORT_YAML_H
#define CORE_CLI_EXPORT_YAML_H

#include <run-core/buf.h>

#include <stdbool.h>
#include <stdint.h>

struct core_emitter {
    struct rc_buf *out;
    int depth;
    bool dash; /* the next line is the first of an item */
};

/* A map or list under 'key', until core_emit_end(). Neither may stay empty. */
void core_emit_begin(struct core_emitter *emitter, const char *key);
/* An item of a list that is a map, until core_emit_end(). */
void core_emit_item(struct core_emitter *emitter);
void core_emit_end(struct core_emitter *emitter);

void core_emit_text(struct core_emitter *emitter, const char *key, const char *text);
/* The same as a block of lines, where its characters allow that. */
void core_emit_block(struct core_emitter *emitter, const char *key, const char *text);
void core_emit_number(struct core_emitter *emitter, const char *key, int64_t number);
void core_emit_bool(struct core_emitter *emitter, const char *key, bool value);
void core_emit_empty_map(struct core_emitter *emitter, const char *key);

/* An item of a list that is a text or a number. */
void core_emit_item_text(struct core_emitter *emitter, const char *text);
void core_emit_item_number(struct core_emitter *emitter, int64_t number);

/* A comment of one line. */
void core_emit_comment(struct core_emitter *emitter, const char *text);

#endif
