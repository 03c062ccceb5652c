/*
 * Allocation that never returns NULL, and the two ways in which a programmer's mistake
 * or an exhausted machine ends the process. Sizes that input decides go through rc_buf.
 */
#include <run-core/attr.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void rc_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}

void rc_out_of_memory(size_t bytes)
{
    fprintf(stderr, "out of memory: %zu bytes asked for\n", bytes);
    abort();
}

/* A size of 0 may give NULL in the C library, so one byte is asked for instead. */
void *rc_malloc(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);

    if (!memory)
        rc_out_of_memory(bytes);
    return memory;
}

void *rc_calloc(size_t count, size_t bytes)
{
    void *memory = count > 0 && bytes > 0 ? calloc(count, bytes) : calloc(1, 1);

    if (!memory)
        rc_out_of_memory(bytes > 0 && count > SIZE_MAX / bytes ? SIZE_MAX : count * bytes);
    return memory;
}

void *rc_realloc(void *memory, size_t bytes)
{
    void *moved = realloc(memory, bytes > 0 ? bytes : 1);

    if (!moved)
        rc_out_of_memory(bytes);
    return moved;
}
