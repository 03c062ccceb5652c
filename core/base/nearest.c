/*
 * The edit distance between names, for "did you mean".
 */
#include <base/nearest.h>

#include <run-core/attr.h>

#include <stdlib.h>
#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * The number of insertions, deletions, substitutions and swaps of neighbours that turn
 * 'a' into 'b'. Three rows of the usual table are enough; a swap looks back by two.
 */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t width = b_len + 1;
    size_t *table = rc_calloc(3 * width, sizeof(*table));
    size_t *before = table;
    size_t *above = table + width;
    size_t *row = table + 2 * width;

    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *oldest = before;

        before = above;
        above = row;
        row = oldest;
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            char x = lower(a[i - 1]);
            char y = lower(b[j - 1]);

            row[j] = least(above[j], row[j - 1]) + 1;
            row[j] = least(row[j], above[j - 1] + (x != y ? 1 : 0));
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }

    size_t result = row[b_len];
    free(table);
    return result;
}

const char *core_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t word_len = strlen(word);
    size_t limit = word_len / 3 > 1 ? word_len / 3 : 1;
    const char *best = NULL;
    size_t best_distance = limit + 1;

    for (size_t i = 0; i < count; i++) {
        const char *candidate = candidates[i];

        if (!candidate)
            continue;
        /* The distance is at least the difference in length, which costs nothing to know. */
        size_t len = strlen(candidate);
        size_t difference = len > word_len ? len - word_len : word_len - len;
        if (difference >= best_distance)
            continue;

        size_t edits = distance(word, word_len, candidate, len);
        if (edits < best_distance) {
            best = candidate;
            best_distance = edits;
        }
    }
    return best;
}
