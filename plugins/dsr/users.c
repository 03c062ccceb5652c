/*
 * Ids as they stand, and as the values of a column: converted, or cut into the pieces of which
 * several columns make up the id.
 */
#include "users.h"
#include "set.h"

#include <run-core/str.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { UUID_BYTES = 16, UUID_TEXT = 36, INTEGER_TEXT = 20 };

#define WAYS_LIMIT 16000000u /* to cut all the ids into pieces */

/* What values are made for: all columns that agree in this share them. */
struct shape {
    enum pq_meaning meaning;
    int32_t width;
    bool is_signed;
    enum pq_order order;
    char *separator; /* NULL: the id is the value */
    size_t part, parts;
};

/* The values of a column that users have, sorted as the column is, and the ways that have each. */
struct values {
    struct values *next;
    struct shape shape;
    struct dsr_set set;
    uint32_t *starts; /* in 'ways', of each value, and behind the last */
    uint32_t *ways;
    uint32_t *users; /* of each way; NULL: ways are users */
};

struct dsr_users {
    uint64_t number;
    struct dsr_set set;
    bool frozen;
    uint32_t *themselves; /* 0, 1, 2, ... */
    pthread_mutex_t mutex;
    struct values *values; /* made so far */
};

/* ---- the ids ---- */

struct dsr_users *dsr_users_new(void)
{
    static atomic_uint_fast64_t made;
    struct dsr_users *users = rc_calloc(1, sizeof(*users));

    users->number = atomic_fetch_add(&made, 1) + 1;
    dsr_set_init(&users->set, SIZE_MAX);
    pthread_mutex_init(&users->mutex, NULL);
    return users;
}

static void free_values(struct values *values)
{
    dsr_set_clear(&values->set);
    free(values->shape.separator);
    free(values->starts);
    free(values->ways);
    free(values->users);
    free(values);
}

void dsr_users_free(struct dsr_users *users)
{
    if (!users)
        return;
    while (users->values) {
        struct values *values = users->values;

        users->values = values->next;
        free_values(values);
    }
    dsr_set_clear(&users->set);
    free(users->themselves);
    pthread_mutex_destroy(&users->mutex);
    free(users);
}

enum rc_code dsr_users_add(struct dsr_users *users, const void *id, size_t len,
                           struct rc_error *err)
{
    uint32_t number;

    RC_ASSERT(!users->frozen);
    if (len > UINT32_MAX)
        return rc_fail(err, RC_TOO_LARGE, "an id of %zu bytes is too long", len);
    return dsr_set_add(&users->set, (struct pq_slice){ id, (uint32_t)len }, &number, err);
}

enum rc_code dsr_users_freeze(struct dsr_users *users, struct rc_error *err)
{
    (void)err;
    dsr_set_sort(&users->set, dsr_order_bytes, NULL, NULL);
    users->themselves = rc_malloc((users->set.count + 1) * sizeof(*users->themselves));
    for (size_t i = 0; i < users->set.count; i++)
        users->themselves[i] = (uint32_t)i;
    users->frozen = true;
    return RC_OK;
}

uint64_t dsr_users_number(const struct dsr_users *users)
{
    return users->number;
}

size_t dsr_users_count(const struct dsr_users *users)
{
    return users->set.count;
}

struct pq_slice dsr_users_at(const struct dsr_users *users, size_t i)
{
    RC_ASSERT(i < users->set.count);
    return dsr_set_at(&users->set, i);
}

ptrdiff_t dsr_users_find(const struct dsr_users *users, struct pq_slice id)
{
    return dsr_set_find(&users->set, id);
}

/* ---- a text as a column's value ---- */

/* Little-endian, as Parquet has its integers. */
static struct pq_slice put_integer(uint64_t number, int32_t width, uint8_t out[UUID_BYTES])
{
    for (int32_t i = 0; i < width; i++)
        out[i] = (uint8_t)(number >> (8 * i));
    return (struct pq_slice){ out, (uint32_t)width };
}

/* Decimal, with no sign but a minus, no zero in front, and within the column's range. */
static bool read_integer(const struct shape *shape, struct pq_slice text, uint64_t *out)
{
    bool negative = shape->is_signed && text.len > 0 && text.data[0] == '-';
    uint32_t at = negative ? 1 : 0;
    unsigned bits = (unsigned)shape->width * 8;
    uint64_t number = 0;
    uint64_t most = UINT64_MAX >> (64 - bits);

    if (shape->is_signed)
        most = (most >> 1) + negative;
    if (at == text.len || text.len > INTEGER_TEXT ||
        (text.data[at] == '0' && (negative || text.len > 1)))
        return false;
    for (; at < text.len; at++) {
        uint64_t digit = (uint64_t)text.data[at] - '0';

        if (digit > 9 || number > (most - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = negative ? 0 - number : number;
    return true;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_uuid(struct pq_slice text, uint8_t out[UUID_BYTES])
{
    size_t digits = 0;

    if (text.len != UUID_TEXT)
        return false;
    for (size_t i = 0; i < UUID_TEXT; i++) {
        int digit = hex_digit(text.data[i]);
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? text.data[i] != '-' : digit < 0)
            return false;
        if (is_dash)
            continue;
        out[digits / 2] = (uint8_t)(digits % 2 ? out[digits / 2] | digit : digit << 4);
        digits++;
    }
    return true;
}

/* The text as a value; false: no value of the column is written so. */
static bool convert(const struct shape *shape, struct pq_slice text, uint8_t room[UUID_BYTES],
                    struct pq_slice *out)
{
    uint64_t number;

    switch (shape->meaning) {
    case PQ_MEANS_BYTES:
        *out = text;
        return shape->width == 0 || text.len == (uint32_t)shape->width;
    case PQ_MEANS_INTEGER:
        if (!read_integer(shape, text, &number))
            return false;
        *out = put_integer(number, shape->width, room);
        return true;
    case PQ_MEANS_UUID:
        *out = (struct pq_slice){ room, UUID_BYTES };
        return read_uuid(text, room);
    case PQ_MEANS_OTHER:
        break;
    }
    return false;
}

/* ---- order ---- */

static uint64_t get_integer(struct pq_slice value)
{
    uint64_t number = 0;

    for (uint32_t i = 0; i < value.len && i < sizeof(number); i++)
        number |= (uint64_t)value.data[i] << (8 * i);
    return number;
}

/* Moves the least of the signed ones to 0. */
static uint64_t rank_of(const struct shape *shape, struct pq_slice value)
{
    unsigned bits = (unsigned)shape->width * 8;
    uint64_t number = get_integer(value);

    return shape->is_signed ? number ^ (UINT64_C(1) << (bits - 1)) : number;
}

static int order_values(const void *context, struct pq_slice a, struct pq_slice b)
{
    const struct shape *shape = context;

    if (shape->meaning == PQ_MEANS_INTEGER) {
        uint64_t left = rank_of(shape, a), right = rank_of(shape, b);

        return (left > right) - (left < right);
    }
    return dsr_order_bytes(NULL, a, b);
}

/* Whether the column's statistics are made by the order that the values are sorted by. */
static bool knows_order(const struct shape *shape)
{
    if (shape->meaning == PQ_MEANS_INTEGER)
        return shape->order == (shape->is_signed ? PQ_ORDER_SIGNED : PQ_ORDER_UNSIGNED);
    return shape->order == PQ_ORDER_BYTES;
}

/* ---- ways to cut an id ---- */

struct making {
    const struct dsr_users *users;
    struct values *values;
    struct rc_buf pairs; /* struct pair: each value with each of its ways */
    struct rc_buf way_users;
    uint32_t way_count;
};

struct pair {
    uint32_t value, way;
};

static enum rc_code add_value(struct making *making, struct pq_slice text, uint32_t way,
                              struct rc_error *err)
{
    uint8_t room[UUID_BYTES];
    struct pq_slice value;
    struct pair pair = { .way = way };

    if (!convert(&making->values->shape, text, room, &value))
        return RC_OK;
    if (dsr_set_add(&making->values->set, value, &pair.value, err))
        return err->code;
    rc_buf_add(&making->pairs, &pair, sizeof(pair));
    return rc_buf_check(&making->pairs, err);
}

/*
 * Cuts what is left of an id into its pieces from 'piece' on, in every way, and takes the piece
 * that this column holds; '*mine' is it, once it was come by. All columns number the ways alike.
 */
static enum rc_code cut(struct making *making, uint32_t user, struct pq_slice rest, size_t piece,
                        struct pq_slice mine, struct rc_error *err)
{
    const struct shape *shape = &making->values->shape;
    size_t len = strlen(shape->separator);

    if (piece + 1 == shape->parts) {
        if (piece == shape->part)
            mine = rest;
        if (making->way_count == WAYS_LIMIT)
            return rc_fail(err, RC_TOO_LARGE,
                           "there are more than %u ways to cut the ids at the separator '%s'",
                           WAYS_LIMIT, shape->separator);
        rc_buf_add(&making->way_users, &user, sizeof(user));
        return add_value(making, mine, making->way_count++, err);
    }
    for (size_t at = 0; at + len <= rest.len; at++) {
        struct pq_slice head = { rest.data, (uint32_t)at };
        struct pq_slice tail = { rest.data + at + len, (uint32_t)(rest.len - at - len) };

        if (memcmp(rest.data + at, shape->separator, len) != 0)
            continue;
        if (cut(making, user, tail, piece + 1, piece == shape->part ? head : mine, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- the values of a shape ---- */

static enum rc_code add_all(struct making *making, struct rc_error *err)
{
    const struct dsr_users *users = making->users;

    for (size_t i = 0; i < users->set.count; i++) {
        struct pq_slice id = dsr_set_at(&users->set, i);

        if (making->values->shape.separator
                ? cut(making, (uint32_t)i, id, 0, (struct pq_slice){ NULL, 0 }, err)
                : add_value(making, id, (uint32_t)i, err))
            return err->code;
    }
    return rc_buf_check(&making->way_users, err);
}

/* Sorts the values, and gathers the ways of each; they rise, as they were made so. */
static void gather(struct making *making)
{
    struct values *values = making->values;
    const struct pair *pairs = (const void *)making->pairs.data;
    size_t pair_count = making->pairs.len / sizeof(*pairs), value_count = values->set.count;
    uint32_t *numbers, *next;

    dsr_set_sort(&values->set, order_values, &values->shape, &numbers);
    values->starts = rc_calloc(value_count + 1, sizeof(*values->starts));
    values->ways = rc_malloc((pair_count + 1) * sizeof(*values->ways));
    for (size_t i = 0; i < pair_count; i++)
        values->starts[numbers[pairs[i].value] + 1]++;
    for (size_t i = 0; i < value_count; i++)
        values->starts[i + 1] += values->starts[i];
    next = rc_malloc((value_count + 1) * sizeof(*next));
    memcpy(next, values->starts, value_count * sizeof(*next));
    for (size_t i = 0; i < pair_count; i++)
        values->ways[next[numbers[pairs[i].value]]++] = pairs[i].way;
    free(next);
    free(numbers);
}

static enum rc_code make_values(const struct dsr_users *users, const struct shape *shape,
                                struct values **out, struct rc_error *err)
{
    struct values *values = rc_calloc(1, sizeof(*values));
    struct making making = {
        .users = users,
        .values = values,
        .pairs = RC_BUF_INIT((size_t)UINT32_MAX * sizeof(struct pair)),
        .way_users = RC_BUF_INIT(WAYS_LIMIT * sizeof(uint32_t)),
    };

    *out = NULL;
    values->shape = *shape;
    values->shape.separator = rc_strdup(shape->separator);
    dsr_set_init(&values->set, SIZE_MAX);
    if (add_all(&making, err) == RC_OK) {
        gather(&making);
        if (shape->separator)
            values->users = (uint32_t *)(void *)rc_buf_take(&making.way_users);
        *out = values;
    } else {
        free_values(values);
    }
    rc_buf_clear(&making.pairs);
    rc_buf_clear(&making.way_users);
    return *out ? RC_OK : err->code;
}

static bool same_shape(const struct shape *a, const struct shape *b)
{
    return a->meaning == b->meaning && a->width == b->width && a->is_signed == b->is_signed &&
           a->order == b->order && rc_str_eq(a->separator, b->separator) && a->part == b->part &&
           a->parts == b->parts;
}

/* Made by the first who asks, while others wait: all the files of a shard ask for the same few. */
static enum rc_code share_values(struct dsr_users *users, const struct shape *shape,
                                 const struct values **out, struct rc_error *err)
{
    struct values *values;
    enum rc_code code = RC_OK;

    pthread_mutex_lock(&users->mutex);
    for (values = users->values; values && !same_shape(&values->shape, shape);)
        values = values->next;
    if (!values) {
        code = make_values(users, shape, &values, err);
        if (!code) {
            values->next = users->values;
            users->values = values;
        }
    }
    pthread_mutex_unlock(&users->mutex);
    *out = values;
    return code;
}

/* ---- wanted ---- */

struct dsr_wanted {
    struct shape shape;            /* its separator is borrowed */
    const struct dsr_users *users; /* that are the values themselves, if 'values' is NULL */
    const struct values *values;
    const struct dsr_set *set;
    struct pq_wanted ask;
};

static ptrdiff_t find(void *context, struct pq_slice value)
{
    const struct dsr_wanted *wanted = context;

    return dsr_set_find(wanted->set, value);
}

static bool any_between(void *context, struct pq_slice least, struct pq_slice greatest)
{
    const struct dsr_wanted *wanted = context;

    return dsr_set_any_between(wanted->set, order_values, &wanted->shape, least, greatest);
}

static bool each(void *context, size_t i, struct pq_slice *value)
{
    const struct dsr_wanted *wanted = context;

    if (i >= wanted->set->count)
        return false;
    *value = dsr_set_at(wanted->set, i);
    return true;
}

enum rc_code dsr_wanted_new(const struct dsr_users *users, const struct pq_column *column,
                            const char *separator, size_t part, size_t parts,
                            struct dsr_wanted **out, struct rc_error *err)
{
    struct shape shape = {
        .meaning = column->meaning,
        .width = column->width,
        .is_signed = column->meaning == PQ_MEANS_INTEGER && column->is_signed,
        .order = column->order,
        .part = part,
        .parts = parts,
    };
    const struct values *values = NULL;

    RC_ASSERT(users->frozen && part < parts);
    if (column->meaning == PQ_MEANS_OTHER)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the column '%s' is neither text, bytes, an integer nor a UUID: no id can "
                       "be compared with it",
                       column->path);
    if (parts > 1)
        shape.separator = (char *)(uintptr_t)(separator ? separator : "");
    if (shape.separator || column->meaning != PQ_MEANS_BYTES) {
        /* The values are a cache; to whoever looks the users do not change. */
        if (share_values((struct dsr_users *)(uintptr_t)users, &shape, &values, err))
            return err->code;
    }

    struct dsr_wanted *wanted = rc_malloc(sizeof(*wanted));
    *wanted = (struct dsr_wanted){
        .shape = shape,
        .users = users,
        .values = values,
        .set = values ? &values->set : &users->set,
        .ask = { .find = find,
                 .any_between = knows_order(&shape) ? any_between : NULL,
                 .each = each },
    };
    wanted->ask.context = wanted;
    *out = wanted;
    return RC_OK;
}

void dsr_wanted_free(struct dsr_wanted *wanted)
{
    free(wanted);
}

const struct pq_wanted *dsr_wanted_ask(const struct dsr_wanted *wanted)
{
    return &wanted->ask;
}

const uint32_t *dsr_wanted_ways(const struct dsr_wanted *wanted, size_t which, size_t *count)
{
    const struct values *values = wanted->values;

    RC_ASSERT(which < wanted->set->count);
    *count = values ? values->starts[which + 1] - values->starts[which] : 1;
    return values ? values->ways + values->starts[which] : wanted->users->themselves + which;
}

uint32_t dsr_wanted_user(const struct dsr_wanted *wanted, uint32_t way)
{
    return wanted->values && wanted->values->users ? wanted->values->users[way] : way;
}
