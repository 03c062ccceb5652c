/*
 * Texts that are gathered and then looked up.
 */
#ifndef EGRESS_TEXTS_H
#define EGRESS_TEXTS_H

#include <run-core/plugin.h>

struct egress_texts {
    char **items; /* each to be freed */
    size_t count;
};

#define EGRESS_TEXTS_AUTO(name)                                                                    \
    RC_CLEANUP(egress_texts_clear) struct egress_texts name = { .count = 0 }

void egress_texts_take(struct egress_texts *texts, char *text);
/* By their bytes: what egress_texts_has() needs. */
void egress_texts_sort(struct egress_texts *texts);
bool egress_texts_has(const struct egress_texts *texts, const char *text);
void egress_texts_clear(struct egress_texts *texts);

#endif
