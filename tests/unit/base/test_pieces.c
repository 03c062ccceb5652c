/*
 * The small pieces: arena, cancellation, rows in memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <base/arena.h>
#include <base/cancel.h>
#include <base/rows.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

static void arena_gives_zeroed_aligned_pieces(void **state)
{
    struct core_arena arena = CORE_ARENA_INIT;

    (void)state;
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *piece = core_arena_alloc(&arena, size);

        assert_int_equal((uintptr_t)piece % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(piece[i], 0);
        memset(piece, 0xAA, size);
    }
    unsigned char *large = core_arena_alloc(&arena, 3 << 20);
    memset(large, 0xAA, 3 << 20);
    assert_ptr_not_equal(core_arena_alloc(&arena, 0), core_arena_alloc(&arena, 0));
    core_arena_clear(&arena);
    core_arena_clear(&arena);
}

static void arena_copies_text(void **state)
{
    struct core_arena arena = CORE_ARENA_INIT;

    (void)state;
    assert_string_equal(core_arena_strdup(&arena, "text"), "text");
    assert_string_equal(core_arena_strndup(&arena, "text", 2), "te");
    assert_string_equal(core_arena_strndup(&arena, NULL, 0), "");
    assert_string_equal(core_arena_strf(&arena, "%s-%03d", "a", 7), "a-007");
    assert_null(core_arena_strdup(&arena, NULL));
    core_arena_clear(&arena);
    assert_string_equal(core_arena_strdup(&arena, "again"), "again");
    core_arena_clear(&arena);
}

static void arena_shares_what_repeats(void **state)
{
    struct core_arena arena = CORE_ARENA_INIT;
    char text[] = "Europe/Prague";
    const char *first;

    (void)state;
    first = core_arena_share(&arena, text);
    text[0] = 'e';
    assert_string_equal(first, "Europe/Prague");
    assert_ptr_equal(core_arena_share(&arena, "Europe/Prague"), first);
    assert_string_equal(core_arena_share(&arena, text), "europe/Prague");
    assert_null(core_arena_share(&arena, NULL));
    /* Texts that push each other out of the cache stay what they are. */
    for (int i = 0; i < 5000; i++) {
        char number[16];

        snprintf(number, sizeof(number), "%d", i);
        assert_string_equal(core_arena_share(&arena, number), number);
        assert_int_equal((uintptr_t)core_arena_alloc(&arena, 3) % alignof(max_align_t), 0);
    }
    core_arena_clear(&arena);
    assert_string_equal(core_arena_share(&arena, "again"), "again");
    core_arena_clear(&arena);
}

static void the_first_wish_stays(void **state)
{
    struct core_cancel parent = CORE_CANCEL_INIT;
    struct core_cancel child = { 0, &parent };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_cancel_code(NULL), RC_OK);
    assert_int_equal(core_cancel_check(&child, &err), RC_OK);

    core_cancel_request(&parent, RC_TIMEOUT);
    core_cancel_request(&parent, RC_CANCELLED);
    assert_int_equal(core_cancel_code(&parent), RC_TIMEOUT);
    assert_int_equal(core_cancel_check(&child, &err), RC_TIMEOUT);
    assert_string_equal(err.cause, "the run's time is up");

    core_cancel_request(&child, RC_CANCELLED);
    assert_int_equal(core_cancel_check(&child, &err), RC_CANCELLED);
    assert_string_equal(err.cause, "the run was asked to stop");
    assert_int_equal(core_cancel_code(&parent), RC_TIMEOUT);
}

static void empty_rows_have_nothing(void **state)
{
    RC_ROWS_AUTO(rows);
    const struct rc_value *row = (const struct rc_value *)&rows;
    const char *const *names = NULL;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rows = core_rows_empty();
    assert_int_equal(rc_rows_columns(rows, NULL), 0);
    assert_int_equal(rc_rows_columns(rows, &names), 0);
    assert_non_null(names);
    assert_int_equal(rc_rows_next(rows, &row, &err), RC_OK);
    assert_null(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_zeroed_aligned_pieces), cmocka_unit_test(arena_copies_text),
        cmocka_unit_test(arena_shares_what_repeats),         cmocka_unit_test(the_first_wish_stays),
        cmocka_unit_test(empty_rows_have_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
