/*
 * Thrift's compact protocol. Fields of a struct are gathered on one stack, since their number is
 * known only behind the last, and then go to the tree at their exact size. Every length is compared
 * with the bytes that are left before anything is made of it. What the fields mean is left to
 * those who ask for them.
 */
#include "thrift.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH_LIMIT = 64,   /* Parquet's own structs are nested 8 deep */
    FIELDS_LIMIT = 256, /* and have up to 17 fields */
    SLAB_LEAST = 1 << 10,
    SLAB_GREATEST = 256 << 10,
    STACK_LEAST = 64,
    ALIGNMENT = 16,
    SHORT_SIZE = 15, /* of a list in its first byte; this and more stand behind it */
    UUID_BYTES = 16,
};

struct pq_slab {
    struct pq_slab *next;
    size_t used, capacity; /* of what follows */
    _Alignas(ALIGNMENT) uint8_t memory[];
};

/* ---- the tree's memory ----------------------------------------------------------------------- */

void pq_tree_init(struct pq_tree *tree, size_t limit_bytes)
{
    *tree = (struct pq_tree){ .limit_bytes = limit_bytes };
}

void pq_tree_clear(struct pq_tree *tree)
{
    while (tree->slabs) {
        struct pq_slab *next = tree->slabs->next;

        free(tree->slabs);
        tree->slabs = next;
    }
    tree->bytes = 0;
}

/* Slabs double, so that a page's header costs little and a large footer few calls. */
static struct pq_slab *add_slab(struct pq_tree *tree, size_t bytes)
{
    size_t left = tree->limit_bytes > tree->bytes ? tree->limit_bytes - tree->bytes : 0;
    size_t capacity = tree->slabs ? 2 * tree->slabs->capacity : SLAB_LEAST;

    if (capacity > SLAB_GREATEST)
        capacity = SLAB_GREATEST;
    if (capacity > left)
        capacity = left;
    if (capacity < bytes)
        capacity = bytes;
    if (capacity > left)
        return NULL;

    struct pq_slab *slab = malloc(sizeof(*slab) + capacity);
    if (!slab)
        return NULL;
    *slab = (struct pq_slab){ .next = tree->slabs, .capacity = capacity };
    tree->slabs = slab;
    tree->bytes += capacity;
    return slab;
}

void *pq_tree_alloc(struct pq_tree *tree, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    struct pq_slab *slab = tree->slabs;
    if (!slab || slab->capacity - slab->used < bytes)
        slab = add_slab(tree, bytes);
    if (!slab)
        return NULL;

    void *memory = slab->memory + slab->used;
    slab->used += bytes;
    return memset(memory, 0, bytes);
}

enum rc_code pq_tree_full(const struct pq_tree *tree, struct rc_error *err)
{
    return rc_fail(err, RC_TOO_LARGE, "the metadata takes more than the %zu bytes of memory it may",
                   tree->limit_bytes);
}

static struct pq_node *alloc_nodes(struct pq_tree *tree, size_t count)
{
    if (count > SIZE_MAX / 2 / sizeof(struct pq_node))
        return NULL;
    return pq_tree_alloc(tree, count * sizeof(struct pq_node));
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reader {
    struct pq_tree *tree;
    const uint8_t *begin, *at, *end;
    struct pq_node *stack; /* the fields of all structs that are not yet complete */
    size_t stack_len, stack_capacity;
    unsigned depth;
    struct rc_error *err;
};

static size_t left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static enum rc_code refuse(const struct reader *reader, const char *what)
{
    return rc_fail(reader->err, RC_INVALID, "the metadata is damaged at byte %zu: %s",
                   (size_t)(reader->at - reader->begin), what);
}

static enum rc_code read_byte(struct reader *reader, uint8_t *out)
{
    if (reader->at == reader->end)
        return refuse(reader, "it ends too early");
    *out = *reader->at++;
    return RC_OK;
}

static enum rc_code read_varint(struct reader *reader, uint64_t *out)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = 0;

        if (read_byte(reader, &byte))
            return reader->err->code;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return RC_OK;
        }
    }
    return refuse(reader, "a number has more than 64 bits");
}

static enum rc_code read_integer(struct reader *reader, int64_t least, int64_t greatest,
                                 int64_t *out)
{
    uint64_t zigzag = 0;

    if (read_varint(reader, &zigzag))
        return reader->err->code;

    int64_t value = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
    if (value < least || value > greatest)
        return refuse(reader, "a number is out of its type's range");
    *out = value;
    return RC_OK;
}

/* A count of things of which each takes at least 'bytes_each'. */
static enum rc_code read_size(struct reader *reader, size_t bytes_each, size_t *out)
{
    uint64_t size = 0;

    if (read_varint(reader, &size))
        return reader->err->code;
    if (size > left(reader) / bytes_each)
        return refuse(reader, "it tells of more than it holds");
    *out = (size_t)size;
    return RC_OK;
}

static enum rc_code read_raw(struct reader *reader, size_t len, struct pq_node *node)
{
    if (len > left(reader))
        return refuse(reader, "it ends too early");
    node->bytes.data = reader->at;
    node->bytes.len = len;
    reader->at += len;
    return RC_OK;
}

static enum rc_code read_binary(struct reader *reader, struct pq_node *node)
{
    size_t len = 0;

    if (read_size(reader, 1, &len))
        return reader->err->code;
    return read_raw(reader, len, node);
}

static enum rc_code read_double(struct reader *reader, struct pq_node *node)
{
    uint64_t bits = 0;

    if (left(reader) < sizeof(bits))
        return refuse(reader, "it ends too early");
    for (size_t i = sizeof(bits); i-- > 0;)
        bits = bits << 8 | reader->at[i];
    memcpy(&node->number, &bits, sizeof(bits));
    reader->at += sizeof(bits);
    return RC_OK;
}

/* In a list a truth value has a byte of its own; 0 is what some writers have for false. */
static enum rc_code read_truth(struct reader *reader, struct pq_node *node)
{
    uint8_t byte = 0;

    if (read_byte(reader, &byte))
        return reader->err->code;
    if (byte > PQ_KIND_FALSE)
        return refuse(reader, "a truth value is neither true nor false");
    node->kind = byte == PQ_KIND_TRUE ? PQ_KIND_TRUE : PQ_KIND_FALSE;
    return RC_OK;
}

static enum rc_code read_nested(struct reader *reader, struct pq_node *node);

/* 'node->kind' says of what; a truth value here is an item of a list. */
static enum rc_code read_value(struct reader *reader, struct pq_node *node)
{
    uint8_t byte = 0;

    switch (node->kind) {
    case PQ_KIND_TRUE:
    case PQ_KIND_FALSE:
        return read_truth(reader, node);
    case PQ_KIND_I8:
        if (read_byte(reader, &byte))
            return reader->err->code;
        node->integer = (int8_t)byte;
        return RC_OK;
    case PQ_KIND_I16:
        return read_integer(reader, INT16_MIN, INT16_MAX, &node->integer);
    case PQ_KIND_I32:
        return read_integer(reader, INT32_MIN, INT32_MAX, &node->integer);
    case PQ_KIND_I64:
        return read_integer(reader, INT64_MIN, INT64_MAX, &node->integer);
    case PQ_KIND_DOUBLE:
        return read_double(reader, node);
    case PQ_KIND_BINARY:
        return read_binary(reader, node);
    case PQ_KIND_UUID:
        return read_raw(reader, UUID_BYTES, node);
    case PQ_KIND_LIST:
    case PQ_KIND_SET:
    case PQ_KIND_MAP:
    case PQ_KIND_STRUCT:
        return read_nested(reader, node);
    default:
        return refuse(reader, "there is no such type");
    }
}

static size_t least_bytes(uint8_t kind)
{
    if (kind == PQ_KIND_DOUBLE)
        return sizeof(double);
    return kind == PQ_KIND_UUID ? UUID_BYTES : 1;
}

static enum rc_code read_list(struct reader *reader, struct pq_node *node)
{
    uint8_t head = 0;

    if (read_byte(reader, &head))
        return reader->err->code;
    node->value_kind = head & 0x0f;

    size_t len = head >> 4;
    if (len == SHORT_SIZE && read_size(reader, least_bytes(node->value_kind), &len))
        return reader->err->code;
    node->list.len = len;
    node->list.items = alloc_nodes(reader->tree, len);
    if (!node->list.items)
        return pq_tree_full(reader->tree, reader->err);
    for (size_t i = 0; i < len; i++) {
        node->list.items[i].kind = node->value_kind;
        if (read_value(reader, &node->list.items[i]))
            return reader->err->code;
    }
    return RC_OK;
}

static enum rc_code read_map(struct reader *reader, struct pq_node *node)
{
    size_t pairs = 0;
    uint8_t kinds = 0;

    /* The smallest pair has a byte for the key and one for the value. */
    if (read_size(reader, 2, &pairs))
        return reader->err->code;
    if (pairs > 0 && read_byte(reader, &kinds))
        return reader->err->code;
    node->key_kind = kinds >> 4;
    node->value_kind = kinds & 0x0f;
    node->list.len = 2 * pairs;
    node->list.items = alloc_nodes(reader->tree, 2 * pairs);
    if (!node->list.items)
        return pq_tree_full(reader->tree, reader->err);
    for (size_t i = 0; i < 2 * pairs; i++) {
        node->list.items[i].kind = i % 2 ? node->value_kind : node->key_kind;
        if (read_value(reader, &node->list.items[i]))
            return reader->err->code;
    }
    return RC_OK;
}

/* Keeps the fields above 'base' in the order of their numbers, as nearly all writers do. */
static enum rc_code push_field(struct reader *reader, size_t base, const struct pq_node *field)
{
    if (reader->stack_len - base == FIELDS_LIMIT)
        return refuse(reader, "a struct has too many fields");
    if (reader->stack_len == reader->stack_capacity) {
        reader->stack_capacity = reader->stack_capacity ? 2 * reader->stack_capacity : STACK_LEAST;
        reader->stack = rc_realloc(reader->stack, reader->stack_capacity * sizeof(*reader->stack));
    }

    size_t at = reader->stack_len;
    while (at > base && reader->stack[at - 1].id > field->id)
        at--;
    if (at > base && reader->stack[at - 1].id == field->id)
        return refuse(reader, "a field is there twice");
    memmove(reader->stack + at + 1, reader->stack + at,
            (reader->stack_len - at) * sizeof(*reader->stack));
    reader->stack[at] = *field;
    reader->stack_len++;
    return RC_OK;
}

static enum rc_code read_field_id(struct reader *reader, uint8_t delta, int16_t last, int16_t *out)
{
    int64_t id = (int64_t)last + delta;

    if (!delta && read_integer(reader, INT16_MIN, INT16_MAX, &id))
        return reader->err->code;
    if (id > INT16_MAX)
        return refuse(reader, "a field's number is too high");
    *out = (int16_t)id;
    return RC_OK;
}

static enum rc_code read_struct(struct reader *reader, struct pq_node *node)
{
    size_t base = reader->stack_len;

    for (int16_t last = 0;;) {
        struct pq_node field = { 0 };
        uint8_t head = 0;

        if (read_byte(reader, &head))
            return reader->err->code;
        if (head == 0)
            break;
        field.kind = head & 0x0f;
        if (read_field_id(reader, head >> 4, last, &field.id))
            return reader->err->code;
        last = field.id;
        /* A truth value is told by its type alone. */
        if (field.kind != PQ_KIND_TRUE && field.kind != PQ_KIND_FALSE && read_value(reader, &field))
            return reader->err->code;
        if (push_field(reader, base, &field))
            return reader->err->code;
    }

    node->list.len = reader->stack_len - base;
    node->list.items = alloc_nodes(reader->tree, node->list.len);
    if (!node->list.items)
        return pq_tree_full(reader->tree, reader->err);
    if (node->list.len > 0)
        memcpy(node->list.items, reader->stack + base, node->list.len * sizeof(*reader->stack));
    reader->stack_len = base;
    return RC_OK;
}

static enum rc_code read_nested(struct reader *reader, struct pq_node *node)
{
    enum rc_code code;

    if (reader->depth == DEPTH_LIMIT)
        return refuse(reader, "it is nested too deep");
    reader->depth++;
    if (node->kind == PQ_KIND_STRUCT)
        code = read_struct(reader, node);
    else if (node->kind == PQ_KIND_MAP)
        code = read_map(reader, node);
    else
        code = read_list(reader, node);
    reader->depth--;
    return code;
}

enum rc_code pq_thrift_read(struct pq_tree *tree, const void *data, size_t len, struct pq_node *out,
                            size_t *used, struct rc_error *err)
{
    const uint8_t *begin = data;
    struct reader reader = {
        .tree = tree, .begin = begin, .at = begin, .end = begin + len, .err = err
    };

    *out = (struct pq_node){ .kind = PQ_KIND_STRUCT };
    enum rc_code code = read_nested(&reader, out);
    free(reader.stack);
    *used = (size_t)(reader.at - reader.begin);
    return code;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_varint(struct rc_buf *out, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        rc_buf_addc(out, (char)(value | 0x80));
    rc_buf_addc(out, (char)value);
}

static void write_integer(struct rc_buf *out, int64_t value)
{
    write_varint(out, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void write_double(struct rc_buf *out, double number)
{
    uint64_t bits;

    memcpy(&bits, &number, sizeof(bits));
    for (size_t i = 0; i < sizeof(bits); i++)
        rc_buf_addc(out, (char)(bits >> 8 * i));
}

static void write_value(struct rc_buf *out, const struct pq_node *node);

static void write_items(struct rc_buf *out, const struct pq_node *node)
{
    for (size_t i = 0; i < node->list.len; i++)
        write_value(out, &node->list.items[i]);
}

static void write_list(struct rc_buf *out, const struct pq_node *node)
{
    size_t len = node->list.len < SHORT_SIZE ? node->list.len : SHORT_SIZE;

    rc_buf_addc(out, (char)(len << 4 | node->value_kind));
    if (len == SHORT_SIZE)
        write_varint(out, node->list.len);
    write_items(out, node);
}

static void write_map(struct rc_buf *out, const struct pq_node *node)
{
    write_varint(out, node->list.len / 2);
    if (node->list.len > 0)
        rc_buf_addc(out, (char)(node->key_kind << 4 | node->value_kind));
    write_items(out, node);
}

static void write_value(struct rc_buf *out, const struct pq_node *node)
{
    switch (node->kind) {
    case PQ_KIND_TRUE:
    case PQ_KIND_FALSE:
        rc_buf_addc(out, (char)node->kind);
        break;
    case PQ_KIND_I8:
        rc_buf_addc(out, (char)node->integer);
        break;
    case PQ_KIND_I16:
    case PQ_KIND_I32:
    case PQ_KIND_I64:
        write_integer(out, node->integer);
        break;
    case PQ_KIND_DOUBLE:
        write_double(out, node->number);
        break;
    case PQ_KIND_BINARY:
        write_varint(out, node->bytes.len);
        rc_buf_add(out, node->bytes.data, node->bytes.len);
        break;
    case PQ_KIND_UUID:
        rc_buf_add(out, node->bytes.data, node->bytes.len);
        break;
    case PQ_KIND_LIST:
    case PQ_KIND_SET:
        write_list(out, node);
        break;
    case PQ_KIND_MAP:
        write_map(out, node);
        break;
    default:
        RC_ASSERT(node->kind == PQ_KIND_STRUCT);
        pq_thrift_write(out, node);
    }
}

void pq_thrift_write(struct rc_buf *out, const struct pq_node *record)
{
    int last = 0;

    for (size_t i = 0; i < record->list.len; i++) {
        const struct pq_node *field = &record->list.items[i];
        int delta = field->id - last;

        if (delta > 0 && delta <= 15) {
            rc_buf_addc(out, (char)(delta << 4 | field->kind));
        } else {
            rc_buf_addc(out, (char)field->kind);
            write_integer(out, field->id);
        }
        last = field->id;
        if (field->kind != PQ_KIND_TRUE && field->kind != PQ_KIND_FALSE)
            write_value(out, field);
    }
    rc_buf_addc(out, 0);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static struct pq_node *find_field(const struct pq_node *record, int16_t id)
{
    for (size_t i = 0; i < record->list.len; i++)
        if (record->list.items[i].id == id)
            return &record->list.items[i];
    return NULL;
}

struct pq_node *pq_field(const struct pq_node *record, int16_t id, enum pq_kind kind)
{
    struct pq_node *field = find_field(record, id);

    return field && field->kind == kind ? field : NULL;
}

int64_t pq_field_int(const struct pq_node *record, int16_t id, int64_t otherwise)
{
    const struct pq_node *field = find_field(record, id);

    return field && field->kind >= PQ_KIND_I8 && field->kind <= PQ_KIND_I64 ? field->integer
                                                                            : otherwise;
}

bool pq_field_bool(const struct pq_node *record, int16_t id, bool otherwise)
{
    const struct pq_node *field = find_field(record, id);

    if (!field || (field->kind != PQ_KIND_TRUE && field->kind != PQ_KIND_FALSE))
        return otherwise;
    return field->kind == PQ_KIND_TRUE;
}

struct pq_node *pq_set(struct pq_tree *tree, struct pq_node *record, int16_t id, enum pq_kind kind)
{
    struct pq_node *field = find_field(record, id);

    if (!field) {
        size_t len = record->list.len, at = 0;
        struct pq_node *items = alloc_nodes(tree, len + 1);

        if (!items)
            return NULL;
        while (at < len && record->list.items[at].id < id)
            at++;
        if (at > 0)
            memcpy(items, record->list.items, at * sizeof(*items));
        if (at < len)
            memcpy(items + at + 1, record->list.items + at, (len - at) * sizeof(*items));
        record->list.items = items;
        record->list.len = len + 1;
        field = items + at;
    }
    *field = (struct pq_node){ .kind = (uint8_t)kind, .id = id };
    return field;
}

enum rc_code pq_set_int(struct pq_tree *tree, struct pq_node *record, int16_t id, enum pq_kind kind,
                        int64_t value, struct rc_error *err)
{
    struct pq_node *field = pq_set(tree, record, id, kind);

    if (!field)
        return pq_tree_full(tree, err);
    field->integer = value;
    return RC_OK;
}

static enum rc_code copy_bytes(struct pq_tree *tree, const void *data, size_t len,
                               struct pq_node *node, struct rc_error *err)
{
    uint8_t *copy = pq_tree_alloc(tree, len);

    if (!copy)
        return pq_tree_full(tree, err);
    if (len > 0)
        memcpy(copy, data, len);
    node->bytes.data = copy;
    node->bytes.len = len;
    return RC_OK;
}

enum rc_code pq_set_bytes(struct pq_tree *tree, struct pq_node *record, int16_t id,
                          const void *data, size_t len, struct rc_error *err)
{
    struct pq_node *field = pq_set(tree, record, id, PQ_KIND_BINARY);

    return field ? copy_bytes(tree, data, len, field, err) : pq_tree_full(tree, err);
}

void pq_drop(struct pq_node *record, int16_t id)
{
    struct pq_node *field = find_field(record, id);

    if (!field)
        return;
    size_t behind = record->list.len - 1 - (size_t)(field - record->list.items);
    memmove(field, field + 1, behind * sizeof(*field));
    record->list.len--;
}

enum rc_code pq_copy(struct pq_tree *tree, const struct pq_node *from, struct pq_node *out,
                     struct rc_error *err)
{
    *out = *from;
    if (from->kind == PQ_KIND_BINARY || from->kind == PQ_KIND_UUID)
        return copy_bytes(tree, from->bytes.data, from->bytes.len, out, err);
    if (from->kind < PQ_KIND_LIST || from->kind > PQ_KIND_STRUCT)
        return RC_OK;

    out->list.items = alloc_nodes(tree, from->list.len);
    if (!out->list.items)
        return pq_tree_full(tree, err);
    for (size_t i = 0; i < from->list.len; i++)
        if (pq_copy(tree, &from->list.items[i], &out->list.items[i], err))
            return err->code;
    return RC_OK;
}
