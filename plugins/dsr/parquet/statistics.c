/*
 * Bounds of a column's values. A page is looked through with borrowed values, and only its least
 * and greatest are copied. Long values are kept cut at one length, so that two of them compare as
 * the whole ones do or are equal; what is written is made of that at the end.
 */
#include "statistics.h"

#include "fields.h"

#include <endian.h>
#include <string.h>

enum {
    BOUND_LIMIT = 4096, /* bytes of a bound; more would make footers large for nothing */
    BOUND_LEAST = 64,   /* to which a bound may always grow */
    CHARACTER = 4,      /* bytes of one in UTF-8, at most */
};

enum {
    STATISTICS_MAX = 1,
    STATISTICS_MIN = 2,
    STATISTICS_NULLS = 3,
    STATISTICS_MAX_VALUE = 5,
    STATISTICS_MIN_VALUE = 6,
    STATISTICS_MAX_EXACT = 7,
    STATISTICS_MIN_EXACT = 8,
    STATISTICS_NANS = 9,
};

/* ---- comparing ------------------------------------------------------------------------------- */

static uint64_t load(struct pq_slice value)
{
    uint64_t bits = 0;
    uint32_t half;

    if (value.len == sizeof(bits)) {
        memcpy(&bits, value.data, sizeof(bits));
        return le64toh(bits);
    }
    if (value.len == sizeof(half)) {
        memcpy(&half, value.data, sizeof(half));
        return le32toh(half);
    }
    for (uint32_t i = value.len; i-- > 0;)
        bits = bits << 8 | value.data[i];
    return bits;
}

static int compare_unsigned(struct pq_slice a, struct pq_slice b)
{
    uint64_t first = load(a), second = load(b);

    return (first > second) - (first < second);
}

/* Without the sign bit of a number with 'len' bytes. */
static uint64_t magnitude(struct pq_slice value)
{
    return load(value) & ~(UINT64_C(1) << (8 * value.len - 1));
}

static bool is_negative(struct pq_slice value)
{
    return value.data[value.len - 1] & 0x80;
}

/* Two's complement: among equal signs, the bits compare as the numbers do. */
static int compare_signed(struct pq_slice a, struct pq_slice b)
{
    if (is_negative(a) != is_negative(b))
        return is_negative(a) ? -1 : 1;
    return compare_unsigned(a, b);
}

/* Sign and magnitude, as of every IEEE 754 format; the two zeros are equal. */
static int compare_float(struct pq_slice a, struct pq_slice b)
{
    uint64_t first = magnitude(a), second = magnitude(b);
    int order = (first > second) - (first < second);

    if (first == 0 && second == 0)
        return 0;
    if (is_negative(a) != is_negative(b))
        return is_negative(a) ? -1 : 1;
    return is_negative(a) ? -order : order;
}

static int compare_bytes(struct pq_slice a, struct pq_slice b)
{
    uint32_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* A byte of a big-endian number that is imagined as long as the longer of two. */
static uint8_t extended(struct pq_slice value, uint32_t len, uint32_t i)
{
    uint32_t missing = len - value.len;

    if (i >= missing)
        return value.data[i - missing];
    return value.len > 0 && value.data[0] & 0x80 ? 0xff : 0;
}

static int compare_decimal(struct pq_slice a, struct pq_slice b)
{
    enum { SIGN = 0x80 };
    uint32_t len = a.len > b.len ? a.len : b.len;

    for (uint32_t i = 0; i < len; i++) {
        /* With the sign bit turned over, negative numbers come first. */
        uint8_t turned = i == 0 ? SIGN : 0;
        uint8_t first = extended(a, len, i) ^ turned, second = extended(b, len, i) ^ turned;

        if (first != second)
            return first < second ? -1 : 1;
    }
    return 0;
}

int pq_compare(enum pq_order order, struct pq_slice a, struct pq_slice b)
{
    switch (order) {
    case PQ_ORDER_SIGNED:
        return compare_signed(a, b);
    case PQ_ORDER_UNSIGNED:
        return compare_unsigned(a, b);
    case PQ_ORDER_FLOAT:
    case PQ_ORDER_FLOAT16:
        return compare_float(a, b);
    case PQ_ORDER_DECIMAL:
        return compare_decimal(a, b);
    case PQ_ORDER_BYTES:
    case PQ_ORDER_NONE:
        break;
    }
    RC_ASSERT(order == PQ_ORDER_BYTES);
    return compare_bytes(a, b);
}

static bool is_float(enum pq_order order)
{
    return order == PQ_ORDER_FLOAT || order == PQ_ORDER_FLOAT16;
}

/* More than infinity, in magnitude. */
static bool is_nan(struct pq_slice value)
{
    static const uint64_t infinities[] = {
        [2] = 0x7c00, [4] = 0x7f800000, [8] = 0x7ff0000000000000
    };

    return magnitude(value) > infinities[value.len];
}

/* ---- gathering ------------------------------------------------------------------------------- */

void pq_statistics_init(struct pq_statistics *statistics, const struct pq_column *column)
{
    *statistics = (struct pq_statistics){
        .order = column->order,
        /* All readers compare signed numbers alike, whether the file names an order or not. */
        .is_told = column->has_order || column->order == PQ_ORDER_SIGNED,
        .may_be_cut = column->type == PQ_BYTE_ARRAY && column->order == PQ_ORDER_BYTES,
        .limit_bytes = BOUND_LIMIT,
    };
    rc_buf_init(&statistics->least, BOUND_LIMIT);
    rc_buf_init(&statistics->greatest, BOUND_LIMIT);
    rc_buf_init(&statistics->above, BOUND_LIMIT + CHARACTER);
}

void pq_statistics_reset(struct pq_statistics *statistics)
{
    statistics->null_count = statistics->value_count = statistics->nan_count = 0;
    statistics->has_bounds = statistics->is_too_long = false;
    statistics->least_is_cut = statistics->greatest_is_cut = false;
    rc_buf_reset(&statistics->least);
    rc_buf_reset(&statistics->greatest);
}

void pq_statistics_clear(struct pq_statistics *statistics)
{
    rc_buf_clear(&statistics->least);
    rc_buf_clear(&statistics->greatest);
    rc_buf_clear(&statistics->above);
}

void pq_statistics_limit(struct pq_statistics *statistics, size_t longest_bytes)
{
    size_t limit = longest_bytes > BOUND_LEAST ? longest_bytes : BOUND_LEAST;

    if (statistics->may_be_cut)
        statistics->limit_bytes = limit < BOUND_LIMIT ? limit : BOUND_LIMIT;
}

static struct pq_slice slice_of(const struct rc_buf *buf)
{
    return (struct pq_slice){ (const uint8_t *)buf->data, (uint32_t)buf->len };
}

static void keep(struct pq_statistics *statistics, struct rc_buf *bound, bool *is_cut,
                 struct pq_slice value, bool was_cut)
{
    *is_cut = was_cut || value.len > BOUND_LIMIT;
    if (value.len > BOUND_LIMIT && !statistics->may_be_cut) {
        statistics->is_too_long = true;
        return;
    }
    rc_buf_reset(bound);
    rc_buf_add(bound, value.data, value.len > BOUND_LIMIT ? BOUND_LIMIT : value.len);
}

/*
 * Widens the bounds to these. A cut bound is BOUND_LIMIT bytes long, so what compares above it
 * either differs within these, and then is above the whole value too, or is as long and cut to the
 * same.
 */
static void widen(struct pq_statistics *statistics, const struct pq_bounds *by, bool least_was_cut,
                  bool greatest_was_cut)
{
    int below = -1, above = 1;

    if (statistics->is_too_long)
        return;
    if (statistics->has_bounds) {
        below = pq_compare(statistics->order, by->least, slice_of(&statistics->least));
        above = pq_compare(statistics->order, by->greatest, slice_of(&statistics->greatest));
    }
    statistics->has_bounds = true;
    if (below < 0)
        keep(statistics, &statistics->least, &statistics->least_is_cut, by->least, least_was_cut);
    if (above > 0)
        keep(statistics, &statistics->greatest, &statistics->greatest_is_cut, by->greatest,
             greatest_was_cut);
    else if (above == 0)
        statistics->greatest_is_cut |= greatest_was_cut;
}

void pq_statistics_add_nulls(struct pq_statistics *statistics, int64_t count)
{
    statistics->null_count += count;
}

/* 'indices' NULL: every value in turn. */
static void add_all(struct pq_statistics *statistics, const struct pq_values *values,
                    const uint32_t *indices, size_t count)
{
    enum pq_order order = statistics->order;
    struct pq_bounds bounds = { 0 };
    bool is_any = false;

    statistics->value_count += (int64_t)count;
    if (order == PQ_ORDER_NONE)
        return;
    for (size_t i = 0; i < count; i++) {
        struct pq_slice value = pq_value_at(values, indices ? indices[i] : i);

        if (is_float(order) && is_nan(value)) {
            statistics->nan_count++;
        } else if (!is_any) {
            bounds.least = bounds.greatest = value;
            is_any = true;
        } else if (pq_compare(order, value, bounds.least) < 0) {
            bounds.least = value;
        } else if (pq_compare(order, value, bounds.greatest) > 0) {
            bounds.greatest = value;
        }
    }
    if (is_any)
        widen(statistics, &bounds, false, false);
}

void pq_statistics_add(struct pq_statistics *statistics, const struct pq_values *values)
{
    add_all(statistics, values, NULL, values->len);
}

void pq_statistics_add_indexed(struct pq_statistics *statistics, const struct pq_values *dictionary,
                               const uint32_t *indices, size_t count)
{
    if (count > 0)
        add_all(statistics, dictionary, indices, count);
}

void pq_statistics_merge(struct pq_statistics *statistics, const struct pq_statistics *more)
{
    statistics->null_count += more->null_count;
    statistics->value_count += more->value_count;
    statistics->nan_count += more->nan_count;
    statistics->is_too_long |= more->is_too_long;
    if (more->has_bounds && !more->is_too_long) {
        struct pq_bounds by = { .least = slice_of(&more->least),
                                .greatest = slice_of(&more->greatest) };

        widen(statistics, &by, more->least_is_cut, more->greatest_is_cut);
    }
}

/* ---- bounds to be written -------------------------------------------------------------------- */

/* The bytes of the character at the front, and which it is; 0: this is not UTF-8. */
static size_t decode_character(const uint8_t *at, size_t len, uint32_t *out)
{
    static const struct {
        uint8_t mask, mark;
        uint32_t least;
    } forms[] = {
        { 0x80, 0, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 }
    };

    for (size_t size = 1; size <= RC_ARRAY_LEN(forms) && size <= len; size++) {
        if ((at[0] & forms[size - 1].mask) != forms[size - 1].mark)
            continue;
        uint32_t character = at[0] & (uint8_t)~forms[size - 1].mask;

        for (size_t i = 1; i < size; i++) {
            if ((at[i] & 0xc0) != 0x80)
                return 0;
            character = character << 6 | (at[i] & 0x3f);
        }
        if (character < forms[size - 1].least || character > 0x10ffff ||
            (character >= 0xd800 && character <= 0xdfff))
            return 0;
        *out = character;
        return size;
    }
    return 0;
}

static void encode_character(struct rc_buf *out, uint32_t character)
{
    static const struct {
        uint32_t above;
        uint8_t mark;
        unsigned shift;
    } forms[] = { { 0, 0, 0 }, { 0x7f, 0xc0, 6 }, { 0x7ff, 0xe0, 12 }, { 0xffff, 0xf0, 18 } };
    size_t size = RC_ARRAY_LEN(forms);

    while (size > 1 && character <= forms[size - 1].above)
        size--;
    rc_buf_addc(out, (char)(forms[size - 1].mark | character >> forms[size - 1].shift));
    for (size_t i = 1; i < size; i++)
        rc_buf_addc(out, (char)(0x80 | (character >> 6 * (size - 1 - i) & 0x3f)));
}

/* What cut bytes are to their last whole character; all of them where they are no text. */
static size_t text_len(struct pq_slice cut, bool *is_text)
{
    uint32_t character;
    size_t len = 0, size;

    while ((size = decode_character(cut.data + len, cut.len - len, &character)) > 0)
        len += size;
    *is_text = cut.len - len < CHARACTER;
    return *is_text ? len : cut.len;
}

/* Where the last of whole characters begins. */
static size_t last_character(const uint8_t *data, size_t len)
{
    do
        len--;
    while ((data[len] & 0xc0) == 0x80);
    return len;
}

/*
 * Bytes above all that begin as 'cut' does: its last character that has one is replaced by the
 * next, and of what is no text the last byte.
 */
static bool make_above(struct rc_buf *out, struct pq_slice cut)
{
    enum { LAST_CHARACTER = 0x10ffff, BEFORE_SURROGATES = 0xd7ff, BEHIND_SURROGATES = 0xe000 };
    bool is_text;
    size_t len = text_len(cut, &is_text);

    rc_buf_reset(out);
    while (len > 0) {
        size_t at = is_text ? last_character(cut.data, len) : len - 1;
        uint32_t last = cut.data[at];

        if (is_text)
            decode_character(cut.data + at, len - at, &last);
        len = at;
        if (last == (is_text ? LAST_CHARACTER : UINT8_MAX))
            continue;
        rc_buf_add(out, cut.data, at);
        if (is_text)
            encode_character(out, last == BEFORE_SURROGATES ? BEHIND_SURROGATES : last + 1);
        else
            rc_buf_addc(out, (char)(last + 1));
        return true;
    }
    return false;
}

/* A zero as a bound stands for both, since writers do not tell them apart. */
static void sign_zero(struct rc_buf *bound, bool is_below)
{
    if (magnitude(slice_of(bound)) == 0)
        bound->data[bound->len - 1] = is_below ? (char)0x80 : 0;
}

/* The first bytes of a bound; '*is_cut' says, and is told, that there are more. */
static struct pq_slice front_of(const struct rc_buf *bound, size_t limit, bool *is_cut)
{
    struct pq_slice front = slice_of(bound);

    if (front.len > limit) {
        front.len = (uint32_t)limit;
        *is_cut = true;
    }
    return front;
}

bool pq_statistics_bounds(struct pq_statistics *statistics, struct pq_bounds *out)
{
    bool least_is_cut = statistics->least_is_cut, greatest_is_cut = statistics->greatest_is_cut;
    bool is_text;

    if (!statistics->has_bounds || statistics->is_too_long)
        return false;
    if (is_float(statistics->order)) {
        sign_zero(&statistics->least, true);
        sign_zero(&statistics->greatest, false);
    }
    out->least = front_of(&statistics->least, statistics->limit_bytes, &least_is_cut);
    out->greatest = front_of(&statistics->greatest, statistics->limit_bytes, &greatest_is_cut);
    out->least_is_exact = !least_is_cut;
    out->greatest_is_exact = !greatest_is_cut;
    if (least_is_cut)
        out->least.len = (uint32_t)text_len(out->least, &is_text);
    if (greatest_is_cut) {
        if (!make_above(&statistics->above, out->greatest))
            return false;
        out->greatest = slice_of(&statistics->above);
    }
    return true;
}

/* ---- statistics in the metadata -------------------------------------------------------------- */

static bool had(const struct pq_node *record, int16_t id, enum pq_kind kind)
{
    return pq_field(record, id, kind) != NULL;
}

static enum rc_code set_bounds(struct pq_tree *tree, struct pq_node *record, int16_t least_id,
                               int16_t greatest_id, const struct pq_bounds *bounds,
                               struct rc_error *err)
{
    if (pq_set_bytes(tree, record, least_id, bounds->least.data, bounds->least.len, err))
        return err->code;
    return pq_set_bytes(tree, record, greatest_id, bounds->greatest.data, bounds->greatest.len,
                        err);
}

static enum rc_code set_truth(struct pq_tree *tree, struct pq_node *record, int16_t id, bool truth,
                              struct rc_error *err)
{
    return pq_set(tree, record, id, truth ? PQ_KIND_TRUE : PQ_KIND_FALSE) ? RC_OK
                                                                          : pq_tree_full(tree, err);
}

/* What a bound says beside itself: only where the old statistics said it, or where it is cut. */
static enum rc_code set_exactness(struct pq_tree *tree, struct pq_node *record,
                                  const struct pq_node *old, const struct pq_bounds *bounds,
                                  struct rc_error *err)
{
    bool was_told = had(old, STATISTICS_MAX_EXACT, PQ_KIND_TRUE) ||
                    had(old, STATISTICS_MAX_EXACT, PQ_KIND_FALSE);

    if (!was_told && bounds->least_is_exact && bounds->greatest_is_exact)
        return RC_OK;
    if (set_truth(tree, record, STATISTICS_MAX_EXACT, bounds->greatest_is_exact, err))
        return err->code;
    return set_truth(tree, record, STATISTICS_MIN_EXACT, bounds->least_is_exact, err);
}

enum rc_code pq_statistics_write(struct pq_statistics *statistics, struct pq_tree *tree,
                                 struct pq_node *record, struct rc_error *err)
{
    const struct pq_node old = *record;
    struct pq_bounds bounds;
    bool has_bounds = pq_statistics_bounds(statistics, &bounds);

    record->list.items = NULL;
    record->list.len = 0;
    if (had(&old, STATISTICS_NULLS, PQ_KIND_I64) &&
        pq_set_int(tree, record, STATISTICS_NULLS, PQ_KIND_I64, statistics->null_count, err))
        return err->code;
    if (had(&old, STATISTICS_NANS, PQ_KIND_I64) && is_float(statistics->order) &&
        pq_set_int(tree, record, STATISTICS_NANS, PQ_KIND_I64, statistics->nan_count, err))
        return err->code;
    if (!has_bounds)
        return RC_OK;
    if (had(&old, STATISTICS_MAX, PQ_KIND_BINARY) && statistics->order == PQ_ORDER_SIGNED &&
        set_bounds(tree, record, STATISTICS_MIN, STATISTICS_MAX, &bounds, err))
        return err->code;
    if (!had(&old, STATISTICS_MAX_VALUE, PQ_KIND_BINARY) || !statistics->is_told)
        return RC_OK;
    if (set_bounds(tree, record, STATISTICS_MIN_VALUE, STATISTICS_MAX_VALUE, &bounds, err))
        return err->code;
    return set_exactness(tree, record, &old, &bounds, err);
}

size_t pq_longest_bound(const struct pq_node *statistics)
{
    static const int16_t bounds[] = { STATISTICS_MIN_VALUE, STATISTICS_MAX_VALUE };
    size_t longest = 0;

    for (size_t i = 0; i < RC_ARRAY_LEN(bounds); i++) {
        const struct pq_node *bound = pq_field(statistics, bounds[i], PQ_KIND_BINARY);

        if (bound && bound->bytes.len > longest)
            longest = bound->bytes.len;
    }
    return longest;
}

bool pq_counts_nans(const struct pq_node *statistics)
{
    return had(statistics, STATISTICS_NANS, PQ_KIND_I64);
}

/* ---- what the metadata of a chunk lets one know ---------------------------------------------- */

static bool take_bounds(const struct pq_node *statistics, int16_t least_id, int16_t greatest_id,
                        struct pq_bounds *out)
{
    const struct pq_node *least = pq_field(statistics, least_id, PQ_KIND_BINARY);
    const struct pq_node *greatest = pq_field(statistics, greatest_id, PQ_KIND_BINARY);

    if (!least || !greatest || least->bytes.len > UINT32_MAX || greatest->bytes.len > UINT32_MAX)
        return false;
    *out = (struct pq_bounds){
        .least = { least->bytes.data, (uint32_t)least->bytes.len },
        .greatest = { greatest->bytes.data, (uint32_t)greatest->bytes.len },
        .least_is_exact = pq_field_bool(statistics, STATISTICS_MIN_EXACT, false),
        .greatest_is_exact = pq_field_bool(statistics, STATISTICS_MAX_EXACT, false),
    };
    return true;
}

bool pq_chunk_bounds(const struct pq_column *column, const struct pq_chunk *chunk,
                     struct pq_bounds *out)
{
    const struct pq_node *statistics =
        chunk->meta ? pq_field(chunk->meta, PQ_META_STATISTICS, PQ_KIND_STRUCT) : NULL;
    bool is_number = column->order == PQ_ORDER_SIGNED || column->order == PQ_ORDER_UNSIGNED;

    if (!statistics || column->order == PQ_ORDER_NONE || is_float(column->order))
        return false;
    if (!((column->has_order || column->order == PQ_ORDER_SIGNED) &&
          take_bounds(statistics, STATISTICS_MIN_VALUE, STATISTICS_MAX_VALUE, out)) &&
        !(column->order == PQ_ORDER_SIGNED &&
          take_bounds(statistics, STATISTICS_MIN, STATISTICS_MAX, out)))
        return false;

    uint32_t width = (uint32_t)column->width;
    if (is_number && (out->least.len != width || out->greatest.len != width))
        return false;
    /* Some writers have an empty text where they mean that there is no bound. */
    return out->greatest.len > 0 && pq_compare(column->order, out->least, out->greatest) <= 0;
}

bool pq_chunk_is_null(const struct pq_chunk *chunk)
{
    const struct pq_node *statistics =
        chunk->meta ? pq_field(chunk->meta, PQ_META_STATISTICS, PQ_KIND_STRUCT) : NULL;

    return statistics && pq_field_int(statistics, STATISTICS_NULLS, -1) == chunk->value_count;
}
