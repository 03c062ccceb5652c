/*
 * Parts of a record, as text and back.
 */
#include "sts.h"

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct sts_part *sts_parts_add(struct sts_parts *parts)
{
    parts->items = rc_realloc(parts->items, (parts->count + 1) * sizeof(*parts->items));
    parts->items[parts->count] = (struct sts_part){ .name = NULL };
    return &parts->items[parts->count++];
}

void sts_parts_clear(struct sts_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        free(parts->items[i].name);
        free(parts->items[i].project);
    }
    free(parts->items);
    *parts = (struct sts_parts){ .items = NULL };
}

void sts_parts_write(const struct sts_parts *parts, struct rc_buf *out)
{
    for (size_t i = 0; i < parts->count; i++) {
        const struct sts_part *part = &parts->items[i];

        rc_buf_addf(out, "%s %" PRId64 " %zu %zu %s\n", part->name, part->since_unix_ms,
                    part->first, part->count, part->project);
    }
}

/* The word up to a blank, and goes behind it; NULL: there is none. The caller frees it. */
static char *next_word(const char **text)
{
    size_t len = strcspn(*text, " \n");
    char *word;

    if (len == 0 || (*text)[len] != ' ')
        return NULL;
    word = rc_strndup(*text, len);
    *text += len + 1;
    return word;
}

static bool next_number(const char **text, int64_t *out)
{
    RC_STR_AUTO word = next_word(text);

    return word && rc_parse_int(word, out) && *out >= 0;
}

enum rc_code sts_parts_read(const char *text, struct sts_parts *out, struct rc_error *err)
{
    while (*text) {
        struct sts_part *part = sts_parts_add(out);
        int64_t first, count;
        size_t len;

        part->name = next_word(&text);
        if (!part->name || !next_number(&text, &part->since_unix_ms) ||
            !next_number(&text, &first) || !next_number(&text, &count))
            return rc_fail(err, RC_CORRUPT, "no transfer job is to be read at '%s'", text);
        part->first = (size_t)first;
        part->count = (size_t)count;
        len = strcspn(text, "\n");
        part->project = rc_strndup(text, len);
        text += len + (text[len] == '\n');
    }
    return RC_OK;
}
