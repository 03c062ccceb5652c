/*
 * Tests of the heap against a plain array, over a long row of random steps.
 */
#include <supervisor/heap.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ITEMS = 200, STEPS = 100000 };

/* The smallest key, and among equal ones the first that came. */
static struct core_heap_item *smallest(struct core_heap_item *items)
{
    struct core_heap_item *found = NULL;

    for (size_t i = 0; i < ITEMS; i++)
        if (items[i].place && (!found || items[i].key < found->key ||
                               (items[i].key == found->key && items[i].turn < found->turn)))
            found = &items[i];
    return found;
}

static size_t count_until(const struct core_heap_item *items, int64_t key)
{
    size_t count = 0;

    for (size_t i = 0; i < ITEMS; i++)
        count += items[i].place && items[i].key <= key;
    return count;
}

static void test_agrees_with_an_array(void **state)
{
    static struct core_heap_item items[ITEMS];
    struct core_heap heap = CORE_HEAP_INIT;
    uint32_t random = 1;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        struct core_heap_item *item;

        random = random * 1664525u + 1013904223u;
        item = &items[(random >> 8) % ITEMS];
        if (random >> 31)
            core_heap_put(&heap, item, (int64_t)((random >> 16) % 50));
        else
            core_heap_take(item);
        assert_ptr_equal(core_heap_first(&heap), smallest(items));
        if (step % 100 == 0)
            assert_int_equal(core_heap_count_until(&heap, 20), count_until(items, 20));
    }
    core_heap_clear(&heap);
    assert_null(smallest(items));
}

static void test_equal_keys_keep_their_order(void **state)
{
    struct core_heap_item items[20] = { 0 };
    struct core_heap heap = CORE_HEAP_INIT;

    (void)state;
    for (size_t i = 0; i < 20; i++)
        core_heap_put(&heap, &items[i], 7);
    for (size_t i = 0; i < 20; i++) {
        assert_ptr_equal(core_heap_first(&heap), &items[i]);
        core_heap_take(&items[i]);
    }
    core_heap_clear(&heap);
}

static void test_moves_between_heaps(void **state)
{
    struct core_heap_item item = { 0 };
    struct core_heap first = CORE_HEAP_INIT, second = CORE_HEAP_INIT;

    (void)state;
    core_heap_put(&first, &item, 1);
    core_heap_put(&second, &item, 2);
    assert_null(core_heap_first(&first));
    assert_ptr_equal(core_heap_first(&second), &item);
    core_heap_take(&item);
    core_heap_take(&item);
    assert_null(core_heap_first(&second));
    core_heap_clear(&first);
    core_heap_clear(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_an_array),
        cmocka_unit_test(test_equal_keys_keep_their_order),
        cmocka_unit_test(test_moves_between_heaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
