/*
 * An array of texts that grows by doubling and is sorted once.
 */
#include "texts.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { LEAST = 16 };

/* There is room for the next power of two. */
void egress_texts_take(struct egress_texts *texts, char *text)
{
    size_t count = texts->count;

    if (count == 0 || (count >= LEAST && (count & (count - 1)) == 0))
        texts->items =
            rc_realloc(texts->items, (count ? 2 * count : LEAST) * sizeof(*texts->items));
    texts->items[texts->count++] = text;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void egress_texts_sort(struct egress_texts *texts)
{
    if (texts->count > 1)
        qsort(texts->items, texts->count, sizeof(*texts->items), compare);
}

bool egress_texts_has(const struct egress_texts *texts, const char *text)
{
    return texts->count > 0 &&
           bsearch(&text, texts->items, texts->count, sizeof(*texts->items), compare) != NULL;
}

void egress_texts_clear(struct egress_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->items[i]);
    free(texts->items);
    *texts = (struct egress_texts){ .count = 0 };
}
