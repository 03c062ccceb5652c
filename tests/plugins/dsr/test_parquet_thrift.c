/*
 * Metadata as a tree: every kind of value there and back, changes, and bytes that are no metadata.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "parquet/thrift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 20 };

/* Every kind, in a struct, in lists, in a map; a field's number that jumps and one below zero. */
static const uint8_t all_kinds[] = {
    0x05, 0x05, 0x0e,                               /* -3: I32 7, its number written out */
    0x41,                                           /* 1: true */
    0x12,                                           /* 2: false */
    0x13, 0x80,                                     /* 3: I8 -128 */
    0x14, 0xff, 0xff, 0x03,                         /* 4: I16 -32768 */
    0x15, 0xff, 0xff, 0xff, 0xff, 0x0f,             /* 5: I32, the least */
    0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* 6: I64, the least */
    0xff, 0xff, 0x01, 0x17, 0x18, 0x2d, 0x44, 0x54, 0xfb, 0x21, 0x09, 0x40, /* 7: pi */
    0x18, 0x03, 'a',  0x00, 'b',                                            /* 8: three bytes */
    0x19, 0x31, 0x01, 0x02, 0x01,                         /* 9: list of truth values */
    0x1a, 0x25, 0x02, 0x04,                               /* 10: set of I32 1, 2 */
    0x1b, 0x02, 0x85, 0x01, 'x',  0x02, 0x01, 'y',  0x04, /* 11: map of x to 1, y to 2 */
    0x1c, 0x1c, 0x00, 0x00,                               /* 12: struct with an empty struct */
    0x1d, 0,    1,    2,    3,    4,    5,    6,    7,    /* 13: UUID */
    8,    9,    10,   11,   12,   13,   14,   15,   0x1b, 0x00, /* 14: empty map */
    0x19, 0xf3, 0x10, 0,    1,    2,    3,    4,    5,          /* 15: list of 16 I8 */
    6,    7,    8,    9,    10,   11,   12,   13,   14,   15,   0x05, 0x80,
    0x02, 0x01, /* 128: I32 -1 */
    0x00,
};

struct setting {
    struct pq_tree tree;
    struct pq_node root;
    struct rc_buf written;
    struct rc_error err;
};

static int set_up(void **state)
{
    struct setting *setting = calloc(1, sizeof(*setting));

    assert_non_null(setting);
    pq_tree_init(&setting->tree, LIMIT);
    rc_buf_init(&setting->written, LIMIT);
    setting->root = (struct pq_node){ .kind = PQ_KIND_STRUCT };
    *state = setting;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *setting = *state;

    pq_tree_clear(&setting->tree);
    rc_buf_clear(&setting->written);
    free(setting);
    return 0;
}

/* From a block of the exact size, so that a read behind it is seen. */
static enum rc_code read_exactly(struct setting *setting, const void *data, size_t len,
                                 size_t *used)
{
    uint8_t *copy = malloc(len + (len == 0));

    assert_non_null(copy);
    memcpy(copy, data, len);
    enum rc_code code =
        pq_thrift_read(&setting->tree, copy, len, &setting->root, used, &setting->err);
    free(copy);
    return code;
}

static void assert_refused(struct setting *setting, const void *data, size_t len, const char *why)
{
    size_t used;

    assert_int_equal(read_exactly(setting, data, len, &used), RC_INVALID);
    if (!strstr(setting->err.cause, why))
        fail_msg("'%s' does not say '%s'", setting->err.cause, why);
    assert_non_null(strstr(setting->err.cause, "at byte "));
}

static void keeps_every_kind(void **state)
{
    struct setting *setting = *state;
    struct pq_node *root = &setting->root;
    size_t used;

    assert_int_equal(
        pq_thrift_read(&setting->tree, all_kinds, sizeof(all_kinds), root, &used, &setting->err),
        RC_OK);
    assert_int_equal(used, sizeof(all_kinds));
    assert_int_equal(pq_field_int(root, -3, 0), 7);
    assert_true(pq_field_bool(root, 1, false));
    assert_false(pq_field_bool(root, 2, true));
    assert_int_equal(pq_field_int(root, 3, 0), INT8_MIN);
    assert_int_equal(pq_field_int(root, 4, 0), INT16_MIN);
    assert_int_equal(pq_field_int(root, 5, 0), INT32_MIN);
    assert_true(pq_field_int(root, 6, 0) == INT64_MIN);
    assert_true(pq_field(root, 7, PQ_KIND_DOUBLE)->number > 3.14159);
    assert_int_equal(pq_field(root, 8, PQ_KIND_BINARY)->bytes.len, 3);
    assert_memory_equal(pq_field(root, 8, PQ_KIND_BINARY)->bytes.data, "a\0b", 3);
    assert_int_equal(pq_field(root, 9, PQ_KIND_LIST)->list.items[1].kind, PQ_KIND_FALSE);
    assert_int_equal(pq_field(root, 10, PQ_KIND_SET)->list.items[1].integer, 2);
    assert_int_equal(pq_field(root, 11, PQ_KIND_MAP)->list.len, 4);
    assert_int_equal(pq_field(root, 12, PQ_KIND_STRUCT)->list.len, 1);
    assert_int_equal(pq_field(root, 13, PQ_KIND_UUID)->bytes.data[15], 15);
    assert_int_equal(pq_field(root, 15, PQ_KIND_LIST)->list.items[15].integer, 15);
    assert_int_equal(pq_field_int(root, 128, 0), -1);

    pq_thrift_write(&setting->written, root);
    assert_int_equal(setting->written.len, sizeof(all_kinds));
    assert_memory_equal(setting->written.data, all_kinds, sizeof(all_kinds));
}

static void refuses_what_is_cut_short(void **state)
{
    struct setting *setting = *state;
    size_t used;

    for (size_t len = 0; len < sizeof(all_kinds); len++)
        assert_int_equal(read_exactly(setting, all_kinds, len, &used), RC_INVALID);
    assert_int_equal(read_exactly(setting, all_kinds, sizeof(all_kinds), &used), RC_OK);
}

static void says_what_cannot_be(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {
        { "\x15\x02\x05\x02\x04\x00", 6, "a field is there twice" },
        { "\x1e\x00", 2, "no such type" },
        { "\x1f\x00", 2, "no such type" },
        { "\x10\x00\x00", 3, "no such type" },
        { "\x19\x1e\x00\x00", 4, "no such type" },
        { "\x19\x11\x03\x00", 4, "neither true nor false" },
        { "\x14\x80\x80\x04\x00", 5, "out of its type's range" },
        { "\x15\x80\x80\x80\x80\x10\x00", 7, "out of its type's range" },
        { "\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00", 12, "more than 64 bits" },
        { "\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 12, "more than 64 bits" },
        { "\x18\x05\x00", 3, "more than it holds" },
        { "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 12, "more than it holds" },
        { "\x19\xf3\xff\xff\xff\xff\x0f\x00", 8, "more than it holds" },
        { "\x19\xf7\x10\x00\x00\x00\x00\x00", 8, "more than it holds" },
        { "\x1b\x03\x33\x01\x02", 5, "more than it holds" },
        { "\x05\xfe\xff\x03\x02\x15\x02\x00", 8, "number is too high" },
        { "\x17\x00\x00", 3, "too early" },
        { "\x1d\x00\x00", 3, "too early" },
    };
    struct setting *setting = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++)
        assert_refused(setting, cases[i].bytes, cases[i].len, cases[i].why);
}

static void refuses_what_is_too_deep_or_too_wide(void **state)
{
    enum { DEEP = 100000, WIDE = 300 };
    struct setting *setting = *state;
    uint8_t *bytes = malloc(DEEP);

    assert_non_null(bytes);
    memset(bytes, 0x1c, DEEP); /* structs in structs */
    assert_refused(setting, bytes, DEEP, "nested too deep");
    memset(bytes, 0x19, DEEP); /* lists in lists */
    assert_refused(setting, bytes, DEEP, "nested too deep");
    memset(bytes, 0x11, WIDE); /* nothing but true */
    bytes[WIDE] = 0;
    assert_refused(setting, bytes, WIDE + 1, "too many fields");
    free(bytes);
}

static void puts_fields_in_order(void **state)
{
    /* 5, 2 and 3, with their numbers written out. */
    static const uint8_t bytes[] = { 0x05, 0x0a, 0x0a, 0x05, 0x04, 0x04, 0x05, 0x06, 0x06, 0x00 };
    static const uint8_t sorted[] = { 0x25, 0x04, 0x15, 0x06, 0x25, 0x0a, 0x00 };
    struct setting *setting = *state;
    size_t used;

    assert_int_equal(read_exactly(setting, bytes, sizeof(bytes), &used), RC_OK);
    pq_thrift_write(&setting->written, &setting->root);
    assert_int_equal(setting->written.len, sizeof(sorted));
    assert_memory_equal(setting->written.data, sorted, sizeof(sorted));
}

static void accepts_other_spellings(void **state)
{
    /* A list of no type without items; false as 0 in a list; what follows is not read. */
    static const uint8_t bytes[] = { 0x19, 0x00, 0x19, 0x11, 0x00, 0x00, 0xaa };
    struct setting *setting = *state;
    size_t used;

    assert_int_equal(read_exactly(setting, bytes, sizeof(bytes), &used), RC_OK);
    assert_int_equal(used, sizeof(bytes) - 1);
    assert_int_equal(pq_field(&setting->root, 1, PQ_KIND_LIST)->list.len, 0);
    assert_int_equal(pq_field(&setting->root, 2, PQ_KIND_LIST)->list.items[0].kind, PQ_KIND_FALSE);
}

static void fields_of_another_kind_are_not_there(void **state)
{
    struct setting *setting = *state;
    struct pq_node *root = &setting->root;
    size_t used;

    assert_int_equal(
        pq_thrift_read(&setting->tree, all_kinds, sizeof(all_kinds), root, &used, &setting->err),
        RC_OK);
    assert_null(pq_field(root, 8, PQ_KIND_LIST));
    assert_null(pq_field(root, 99, PQ_KIND_BINARY));
    assert_int_equal(pq_field_int(root, 8, -5), -5);
    assert_int_equal(pq_field_int(root, 1, -5), -5);
    assert_int_equal(pq_field_int(root, 99, -5), -5);
    assert_true(pq_field_bool(root, 5, true));
    assert_false(pq_field_bool(root, 99, false));
}

static void changes_fields(void **state)
{
    /* 2: I64 300; 5: "ab"; 40: true */
    static const uint8_t expected[] = { 0x26, 0xd8, 0x04, 0x38, 0x02, 'a', 'b', 0x01, 0x50, 0x00 };
    struct setting *setting = *state;
    struct pq_node *root = &setting->root;
    char text[] = "ab";

    assert_int_equal(pq_set_bytes(&setting->tree, root, 5, text, 2, &setting->err), RC_OK);
    assert_int_equal(pq_set_int(&setting->tree, root, 9, PQ_KIND_I32, 1, &setting->err), RC_OK);
    assert_non_null(pq_set(&setting->tree, root, 40, PQ_KIND_TRUE));
    assert_int_equal(pq_set_int(&setting->tree, root, 2, PQ_KIND_I32, 1, &setting->err), RC_OK);
    assert_int_equal(pq_set_int(&setting->tree, root, 2, PQ_KIND_I64, 300, &setting->err), RC_OK);
    pq_drop(root, 9);
    pq_drop(root, 10);
    memset(text, 'x', 2); /* was copied */

    pq_thrift_write(&setting->written, root);
    assert_int_equal(setting->written.len, sizeof(expected));
    assert_memory_equal(setting->written.data, expected, sizeof(expected));
    pq_drop(root, 2);
    pq_drop(root, 40);
    pq_drop(root, 5);
    assert_int_equal(root->list.len, 0);
}

static void copies_share_nothing(void **state)
{
    struct setting *setting = *state;
    uint8_t *bytes = malloc(sizeof(all_kinds));
    struct pq_tree other;
    struct pq_node copy;
    size_t used;

    assert_non_null(bytes);
    memcpy(bytes, all_kinds, sizeof(all_kinds));
    pq_tree_init(&other, LIMIT);
    assert_int_equal(
        pq_thrift_read(&other, bytes, sizeof(all_kinds), &setting->root, &used, &setting->err),
        RC_OK);
    assert_int_equal(pq_copy(&setting->tree, &setting->root, &copy, &setting->err), RC_OK);
    free(bytes);
    pq_tree_clear(&other);

    pq_thrift_write(&setting->written, &copy);
    assert_int_equal(setting->written.len, sizeof(all_kinds));
    assert_memory_equal(setting->written.data, all_kinds, sizeof(all_kinds));
}

static void keeps_to_its_memory(void **state)
{
    struct setting *setting = *state;
    struct pq_node copy;
    size_t used, enough = 0;

    for (size_t limit = 0; limit < 8192; limit += 16) {
        pq_tree_clear(&setting->tree);
        pq_tree_init(&setting->tree, limit);
        enum rc_code code = pq_thrift_read(&setting->tree, all_kinds, sizeof(all_kinds),
                                           &setting->root, &used, &setting->err);

        assert_true(setting->tree.bytes <= limit);
        assert_true(code == RC_OK || code == RC_TOO_LARGE);
        assert_false(enough && code != RC_OK);
        if (code == RC_OK && !enough)
            enough = limit;
    }
    assert_true(enough > 0);

    pq_tree_clear(&setting->tree);
    pq_tree_init(&setting->tree, 0);
    assert_null(pq_tree_alloc(&setting->tree, 1));
    assert_null(pq_tree_alloc(&setting->tree, SIZE_MAX));
    setting->root = (struct pq_node){ .kind = PQ_KIND_STRUCT };
    assert_null(pq_set(&setting->tree, &setting->root, 1, PQ_KIND_TRUE));
    assert_int_equal(pq_set_bytes(&setting->tree, &setting->root, 1, "a", 1, &setting->err),
                     RC_TOO_LARGE);
    assert_int_equal(pq_set_int(&setting->tree, &setting->root, 1, PQ_KIND_I32, 1, &setting->err),
                     RC_TOO_LARGE);
    copy = (struct pq_node){ .kind = PQ_KIND_BINARY, .bytes = { all_kinds, 4 } };
    assert_int_equal(pq_copy(&setting->tree, &copy, &setting->root, &setting->err), RC_TOO_LARGE);
}

static void memory_is_zero_and_aligned(void **state)
{
    struct setting *setting = *state;

    for (size_t len = 0; len < 3000; len++) {
        uint8_t *memory = pq_tree_alloc(&setting->tree, len % 700);

        if (!memory) {
            assert_true(setting->tree.bytes > LIMIT / 2);
            break;
        }
        assert_int_equal((uintptr_t)memory % 16, 0);
        for (size_t i = 0; i < len % 700; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, len % 700);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_every_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_cut_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_what_cannot_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_too_deep_or_too_wide, set_up, tear_down),
        cmocka_unit_test_setup_teardown(puts_fields_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(accepts_other_spellings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fields_of_another_kind_are_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changes_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(copies_share_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_to_its_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_zero_and_aligned, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
