/*
 * Jobs from a list: a job with 'for_each' or 'for_each_file' is the pattern of one job for each
 * item, in whose values ${each:KEY} is the item's. Behind this everything sees plain jobs. Private
 * to core/config.
 */
#ifndef CORE_CONFIG_EACH_H
#define CORE_CONFIG_EACH_H

#include <config/reader.h>

enum { CORE_EACH_MAX_ITEMS = 10000, CORE_EACH_MAX_BYTES = 64 * 1024 * 1024 };

/* A list that was read from a file. */
struct core_each_file;

struct core_each {
    struct core_arena *arena; /* of the jobs; outlives their entries */
    enum core_yaml_machine machine;
    struct core_problems *problems;
    size_t values, bytes;         /* in all jobs of lists, so far; the latter of what was put in */
    struct core_each_file *files; /* each is read once, so that all jobs of it see the same */
    struct core_children empty;   /* patterns that no job came of, as their lists are empty */
};

/*
 * Adds the jobs that 'entry' of the section 'jobs' stands for: itself, or one for each item, at
 * the pattern's place. Mistakes in the list, and those in names that its items give, go to the
 * problems; what they concern is left out.
 */
void core_each_expand(struct core_each *each, const struct core_entry *entry,
                      struct core_children *out);

/* The value of an entry that stands for itself: a ${each:...} in it is a mistake. */
struct core_node *core_each_plain(struct core_each *each, const struct core_entry *entry);

#endif
