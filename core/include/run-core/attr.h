/*
 * Attributes and small macros shared by every header. gcc and clang only.
 */
#ifndef RUN_CORE_ATTR_H
#define RUN_CORE_ATTR_H

#include <stddef.h>

#ifdef __cplusplus
#define RC_BEGIN_DECLS extern "C" {
#define RC_END_DECLS }
#else
#define RC_BEGIN_DECLS
#define RC_END_DECLS
#endif

/* The caller has to look at the result. */
#define RC_MUST_CHECK __attribute__((warn_unused_result))

/* 'at' is the position of the printf format, 'first' that of its first argument. */
#define RC_PRINTF(at, first) __attribute__((format(printf, at, first)))

/* Visible outside a shared object built with -fvisibility=hidden. */
#define RC_EXPORT __attribute__((visibility("default")))

/* Calls 'function(&variable)' when the variable leaves its scope. */
#define RC_CLEANUP(function) __attribute__((cleanup(function)))

#define RC_ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Holds in every build. For mistakes of the programmer only: what a user, a file
 * or a server can cause is an error, not an assertion.
 */
#define RC_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : rc_assert_failed(#condition, __FILE__, __LINE__))

RC_BEGIN_DECLS

/* Prints the condition and its place on stderr, then aborts. */
void rc_assert_failed(const char *condition, const char *file, int line)
    __attribute__((noreturn, cold));

/* Prints "out of memory" with the number of bytes asked for, then aborts. */
void rc_out_of_memory(size_t bytes) __attribute__((noreturn, cold));

/*
 * malloc, calloc and realloc for small sizes that no input decides: they never
 * return NULL. Sizes that input decides go through an rc_buf, which has a limit.
 * Freed with free().
 */
void *rc_malloc(size_t bytes) __attribute__((returns_nonnull, malloc));
void *rc_calloc(size_t count, size_t bytes) __attribute__((returns_nonnull, malloc));
void *rc_realloc(void *memory, size_t bytes) __attribute__((returns_nonnull));

RC_END_DECLS
#endif
