/*
 * A plugin's options as the tests of the configuration see them: every type, and every
 * property that an option can have.
 */
#ifndef TESTS_UNIT_CONFIG_SAMPLE_H
#define TESTS_UNIT_CONFIG_SAMPLE_H

#include <config/config.h>

struct sample_window {
    const char *folder;
    int64_t days;
    struct rc_strs labels;
};

struct sample {
    const char *table, *note, *engine;
    bool csv;
    int64_t threads, timeout_ms, memory_bytes;
    double ratio;
    int mode;
    const char *endpoint, *password;
    int32_t start;
    struct rc_strs tables;
    struct rc_map headers;
    struct rc_objects windows;
};

extern const struct core_option_table sample_table;

/* Its environment variables, which the tests unset first. */
#define SAMPLE_PASSWORD "RUN_CORE_TEST_PASSWORD"
#define SAMPLE_TABLES "RUN_CORE_TEST_TABLES"

/*
 * Loads a configuration, and binds the options of each of its jobs to the sample as a run would.
 * 'out' gets those of the last; it may be NULL. The caller clears the arena.
 */
void sample_load(const char *path, struct sample *out, struct core_arena *arena,
                 struct core_problems *problems);

#endif
