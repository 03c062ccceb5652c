/*
 * Thrift's compact protocol, as footers and page headers have it. Whatever is read is written so
 * that it is read as the same, stays the same as a copy, and can be changed.
 */
#include <parquet/thrift.h>

#include <string.h>

enum { LIMIT = 8 << 20 };

static void write_changed(struct pq_tree *tree, struct pq_node *record)
{
    RC_BUF_AUTO(before, LIMIT);
    RC_BUF_AUTO(after, LIMIT);
    struct rc_error err = RC_ERROR_INIT;

    for (int16_t id = 1; id < 20; id++)
        pq_drop(record, id);
    pq_thrift_write(&before, record);
    if (pq_set_int(tree, record, 7, PQ_KIND_I64, INT64_MIN, &err) ||
        pq_set_bytes(tree, record, 3, "text", 4, &err))
        return;
    RC_ASSERT(pq_field_int(record, 7, 0) == INT64_MIN);
    RC_ASSERT(pq_field(record, 3, PQ_KIND_BINARY)->bytes.len == 4);
    pq_drop(record, 3);
    pq_drop(record, 7);
    pq_thrift_write(&after, record);
    RC_ASSERT(before.len == after.len && memcmp(before.data, after.data, after.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_CLEANUP(pq_tree_clear) struct pq_tree tree;
    RC_BUF_AUTO(once, LIMIT);
    RC_BUF_AUTO(twice, LIMIT);
    struct pq_node first, second, copy;
    struct rc_error err = RC_ERROR_INIT;
    size_t used;

    pq_tree_init(&tree, LIMIT);
    if (pq_thrift_read(&tree, data, size, &first, &used, &err)) {
        RC_ASSERT(err.code == RC_INVALID || err.code == RC_TOO_LARGE);
        return 0;
    }
    RC_ASSERT(used <= size && tree.bytes <= LIMIT);
    pq_thrift_write(&once, &first);
    RC_ASSERT(!once.overflow);
    if (pq_thrift_read(&tree, once.data, once.len, &second, &used, &err)) {
        RC_ASSERT(err.code == RC_TOO_LARGE);
        return 0;
    }
    RC_ASSERT(used == once.len);
    if (pq_copy(&tree, &second, &copy, &err))
        return 0;
    pq_thrift_write(&twice, &copy);
    RC_ASSERT(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    write_changed(&tree, &copy);
    return 0;
}
