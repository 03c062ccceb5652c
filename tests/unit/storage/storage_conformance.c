/*
 * The semantics of storage, in the order of the operations in storage.h, the same for every store:
 *
 *   list        all keys that begin with the prefix, in the order of their bytes, however many;
 *               shallow: rolled up at the next '/'; start_after: only what comes behind that name
 *   stat        size, time and entity tag; RC_NOT_FOUND for a part of a key
 *   detail      content type and metadata as they were put; files have none
 *   open        a range is clipped to the object; if_match: RC_CONFLICT once it was replaced; the
 *               reader tells of the whole object
 *   put         replaces as a whole; if_match, RC_IF_ABSENT: RC_CONFLICT, and nothing is changed;
 *               tells the size and, where the store says it, the entity tag that stat gives
 *   create      the same as a stream; nothing is seen before the commit or left without one
 *   parts       in any order, one again replaces it; nothing is seen before the commit
 *   copy        with the attributes of the source, or others; conditions on both ends
 *   move        leaves one; onto itself it does nothing
 *   remove      what is not there counts as removed; any number; reports what stays
 *   sweep       gives up unfinished uploads
 */
#include "storage_conformance.h"

#include <storage/resolve.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct place {
    struct core_storage *storage;
    const char *base;
    bool refuses_conditions; /* of writes, where it has not seen by a look that they fail */
};

/* "base/name"; freed by the caller. */
static char *uri(const struct place *at, const char *name)
{
    return rc_strf("%s/%s", at->base, name);
}

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

static void put(const struct place *at, const char *name, const char *text)
{
    RC_STR_AUTO where = uri(at, name);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(
        core_storage_put(at->storage, where, text, strlen(text), /* if_match = */ NULL, &err));
}

static enum rc_code put_if(const struct place *at, const char *name, const char *text,
                           const char *if_match)
{
    RC_STR_AUTO where = uri(at, name);
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = core_storage_put(at->storage, where, text, strlen(text), if_match, &err);

    if (code)
        assert_true(err.cause[0] != '\0');
    return code;
}

static void expect_content(const struct place *at, const char *name, const char *text)
{
    RC_STR_AUTO where = uri(at, name);
    RC_BUF_AUTO(body, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_storage_get(at->storage, where, &body, &err));
    assert_string_equal(body.data, text);
}

static struct rc_stat look(const struct place *at, const char *name)
{
    RC_STR_AUTO where = uri(at, name);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    expect_ok(core_storage_stat(at->storage, where, &stat, &err));
    return stat;
}

static enum rc_code look_code(const struct place *at, const char *name)
{
    RC_STR_AUTO where = uri(at, name);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    return core_storage_stat(at->storage, where, &stat, &err);
}

static void take_away(const struct place *at, const char *name)
{
    RC_STR_AUTO where = uri(at, name);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_storage_remove(at->storage, (const char *const[]){ where }, 1, &err));
}

/* The names below a prefix, each with a blank behind; those of rolled up prefixes in brackets. */
static void expect_listing(const struct place *at, const char *prefix, bool shallow,
                           const char *start_after, const char *expected)
{
    const struct rc_list_options options = { .shallow = shallow, .start_after = start_after };
    RC_STR_AUTO where = uri(at, prefix);
    RC_BUF_AUTO(names, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_listing *listing;
    const struct rc_object *object;

    expect_ok(core_storage_list(at->storage, where, &options, &listing, &err));
    for (;;) {
        expect_ok(core_listing_next(listing, &object, &err));
        if (!object)
            break;
        RC_STR_AUTO whole = rc_strf("%s%s", where, object->name);
        assert_string_equal(object->uri, whole);
        rc_buf_addf(&names, object->is_prefix ? "[%s] " : "%s ", object->name);
        if (!object->is_prefix)
            assert_true(object->stat.etag[0] != '\0');
    }
    /* Behind the last there is nothing, however often one asks. */
    expect_ok(core_listing_next(listing, &object, &err));
    assert_null(object);
    core_listing_close(listing);
    assert_string_equal(names.data, expected);
}

static void list_all(const struct place *at, const char *prefix, const char *expected)
{
    expect_listing(at, prefix, /* shallow = */ false, /* start_after = */ NULL, expected);
}

/* ---- the table ---------------------------------------------------------------------------- */

static void check_put_and_get(const struct place *at)
{
    RC_STR_AUTO where = uri(at, "one");
    RC_BUF_AUTO(tight, 5);
    RC_BUF_AUTO(exact, 6);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat first, second;

    assert_int_equal(look_code(at, "one"), RC_NOT_FOUND);
    assert_int_equal(core_storage_get(at->storage, where, &tight, &err), RC_NOT_FOUND);
    put(at, "one", "first");
    first = look(at, "one");
    assert_int_equal(first.size_bytes, 5);
    assert_true(first.modified_unix_ms > INT64_C(1500000000000));
    expect_content(at, "one", "first");

    put(at, "one", "second");
    second = look(at, "one");
    assert_string_not_equal(first.etag, second.etag);
    expect_content(at, "one", "second");
    put(at, "one", "drittt"); /* as long as the one before */
    assert_string_not_equal(second.etag, look(at, "one").etag);

    assert_int_equal(core_storage_get(at->storage, where, &tight, &err), RC_TOO_LARGE);
    assert_int_equal(tight.len, 0);
    expect_ok(core_storage_get(at->storage, where, &exact, &err));
    assert_string_equal(exact.data, "drittt");

    put(at, "empty", "");
    assert_int_equal(look(at, "empty").size_bytes, 0);
    expect_content(at, "empty", "");
    put(at, "deep/er/and/deeper", "x");
    expect_content(at, "deep/er/and/deeper", "x");
    /* A part of a key is no object. */
    assert_int_equal(look_code(at, "deep"), RC_NOT_FOUND);
    assert_int_equal(look_code(at, "deep/er"), RC_NOT_FOUND);
    take_away(at, "one");
    take_away(at, "empty");
    take_away(at, "deep/er/and/deeper");
}

static void check_odd_names(const struct place *at)
{
    static const char *const names[] = {
        "with blank",   "pct%20enc",
        "plus+and&amp", "umlaut-\xc3\xa4",
        "quote'\"`",    "a=b/c=d",
        "#hash?q",      "...",
        "~tilde",       "dot.",
        ".hidden",      "\xf0\x9f\x98\x80-\xe2\x82\xac\xcc\x81",
        "back\\slash",  "<x>;:@,$!*()[]{}^|",
        "two  blanks ", "e\xcc\x81 is not \xc3\xa9",
        "tab\tstop",    "bell\x07 and \x7f",
    };
    RC_STR_AUTO part = rc_calloc(201, 1);

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        RC_STR_AUTO name = rc_strf("odd/%s", names[i]);
        RC_STR_AUTO expected = rc_strf("%s ", names[i]);

        put(at, name, names[i]);
        expect_content(at, name, names[i]);
        list_all(at, "odd/", expected);
        take_away(at, name);
    }
    memset(part, 'k', 200);
    RC_STR_AUTO longest = rc_strf("odd/%s/%s/%s/%s", part, part, part, part);
    put(at, longest, "long");
    expect_content(at, longest, "long");
    take_away(at, longest);
}

/* Reads a range in small pieces. */
static void expect_range(const struct place *at, int64_t offset, int64_t len, const char *expected)
{
    RC_STR_AUTO where = uri(at, "digits");
    RC_BUF_AUTO(body, 100);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_reader *reader;
    size_t got;

    expect_ok(core_storage_open(at->storage, where, offset, len, &reader, &err));
    do {
        char piece[3];

        expect_ok(core_reader_read(reader, piece, sizeof(piece), &got, &err));
        rc_buf_add(&body, piece, got);
    } while (got > 0);
    core_reader_close(reader);
    assert_string_equal(body.data, expected);
}

static enum rc_code open_if(const struct place *at, const char *name, const char *if_match,
                            struct rc_stat *stat)
{
    const struct core_range range = { .offset_bytes = 2, .len_bytes = 3, .if_match = if_match };
    RC_STR_AUTO where = uri(at, name);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_reader *reader;
    enum rc_code code = core_storage_open_with(at->storage, where, NULL, &range, &reader, &err);

    if (code) {
        assert_null(reader);
        return code;
    }
    *stat = *core_reader_stat(reader);
    core_reader_close(reader);
    return RC_OK;
}

static void check_pinned_ranges(const struct place *at)
{
    struct rc_stat first, stat;

    put(at, "pinned", "0123456789");
    first = look(at, "pinned");
    assert_int_equal(open_if(at, "pinned", first.etag, &stat), RC_OK);
    assert_int_equal(stat.size_bytes, 10);
    assert_string_equal(stat.etag, first.etag);
    put(at, "pinned", "9876543210");
    assert_int_equal(open_if(at, "pinned", first.etag, &stat), RC_CONFLICT);
    assert_int_equal(open_if(at, "pinned", NULL, &stat), RC_OK);
    assert_string_not_equal(stat.etag, first.etag);
    take_away(at, "pinned");
    assert_int_equal(open_if(at, "pinned", first.etag, &stat), RC_NOT_FOUND);
}

static void check_ranges(const struct place *at)
{
    RC_STR_AUTO where = uri(at, "digits");
    RC_STR_AUTO missing = uri(at, "missing");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_reader *reader = NULL;

    put(at, "digits", "0123456789");
    expect_range(at, 0, -1, "0123456789");
    expect_range(at, 4, -1, "456789");
    expect_range(at, 4, 3, "456");
    expect_range(at, 8, 100, "89"); /* a range is clipped to the object */
    expect_range(at, 10, -1, "");
    expect_range(at, 99, 5, "");
    expect_range(at, 3, 0, "");
    assert_int_equal(core_storage_open(at->storage, where, -1, 5, &reader, &err), RC_INVALID);
    assert_null(reader);
    assert_int_equal(core_storage_open(at->storage, where, 0, -2, &reader, &err), RC_INVALID);
    assert_int_equal(core_storage_open(at->storage, missing, 0, -1, &reader, &err), RC_NOT_FOUND);
    take_away(at, "digits");
}

static void check_writer(const struct place *at)
{
    enum { PIECE = 70000, PIECES = 5 };
    RC_STR_AUTO where = uri(at, "streamed");
    RC_STR_AUTO piece = rc_calloc(PIECE, 1);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;

    expect_ok(core_storage_create(at->storage, where, NULL, &writer, &err));
    expect_ok(core_writer_write(writer, "never", 5, &err));
    assert_int_equal(look_code(at, "streamed"), RC_NOT_FOUND);
    list_all(at, "stream", "");
    core_writer_close(writer);
    assert_int_equal(look_code(at, "streamed"), RC_NOT_FOUND);

    expect_ok(core_storage_create(at->storage, where, NULL, &writer, &err));
    for (int i = 0; i < PIECES; i++) {
        memset(piece, 'a' + i, PIECE);
        expect_ok(core_writer_write(writer, piece, PIECE, &err));
        expect_ok(core_writer_write(writer, "-", 1, &err));
    }
    expect_ok(core_writer_commit(writer, &err));
    assert_int_equal(core_writer_commit(writer, &err), RC_INVALID);
    core_writer_close(writer);
    assert_int_equal(look(at, "streamed").size_bytes, PIECES * (PIECE + 1));

    RC_BUF_AUTO(body, 1 << 20);
    expect_ok(core_storage_get(at->storage, where, &body, &err));
    for (int i = 0; i < PIECES; i++) {
        assert_int_equal(body.data[i * (PIECE + 1)], 'a' + i);
        assert_int_equal(body.data[i * (PIECE + 1) + PIECE], '-');
    }
    take_away(at, "streamed");
}

/* What a store says of a write is what it says when it is asked. */
static void expect_written(const struct place *at, const char *name, const struct rc_stat *written)
{
    struct rc_stat found = look(at, name);

    assert_int_equal(written->size_bytes, found.size_bytes);
    if (written->etag[0] != '\0')
        assert_string_equal(written->etag, found.etag);
}

static void check_written(const struct place *at)
{
    RC_STR_AUTO where = uri(at, "written");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat written = { .size_bytes = -1 };
    struct rc_writer *writer;

    expect_ok(core_storage_put_with(at->storage, where, "first", 5, NULL, &written, &err));
    expect_written(at, "written", &written);
    expect_ok(core_storage_create_with(at->storage, where, NULL, &writer, &err));
    expect_ok(core_writer_write(writer, "second", 6, &err));
    expect_ok(core_writer_commit(writer, &err));
    expect_written(at, "written", core_writer_stat(writer));
    core_writer_close(writer);
    take_away(at, "written");
}

static bool is_local(const struct place *at)
{
    RC_BUF_AUTO(path, 1 << 16);
    struct rc_error err = RC_ERROR_INIT;

    return core_storage_local_path(at->storage, at->base, &path, &err) == RC_OK;
}

static void expect_attributes(const struct place *at, const char *name, const char *content_type,
                              const char *owner)
{
    CORE_OBJECT_DETAIL_AUTO(detail);
    RC_STR_AUTO where = uri(at, name);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    expect_ok(core_storage_stat_with(at->storage, where, NULL, &stat, &detail, &err));
    if (is_local(at)) {
        assert_null(detail.attributes.content_type);
        assert_int_equal(detail.attributes.metadata.len, 0);
        return;
    }
    assert_string_equal(detail.attributes.content_type, content_type);
    assert_int_equal(detail.attributes.metadata.len, 1);
    assert_string_equal(detail.attributes.metadata.items[0].key, "owner");
    assert_string_equal(detail.attributes.metadata.items[0].value, owner);
}

static enum rc_code copy_with(const struct place *at, const char *source, const char *target,
                              const struct core_copy_options *options, struct rc_stat *written)
{
    RC_STR_AUTO from = uri(at, source);
    RC_STR_AUTO to = uri(at, target);
    struct rc_error err = RC_ERROR_INIT;

    return core_storage_copy_with(at->storage, from, NULL, to, options, written, &err);
}

static void check_attributes(const struct place *at)
{
    static const struct rc_pair ada = { "owner", "ada" }, bob = { "owner", "bob" };
    const struct rc_attributes first = { .content_type = "text/csv", .metadata = { 1, &ada } };
    const struct rc_attributes second = { .content_type = "text/html", .metadata = { 1, &bob } };
    const struct rc_put_options put_first = {
        .struct_bytes = sizeof(put_first),
        .size_bytes = 1,
        .attributes = &first,
    };
    RC_STR_AUTO where = uri(at, "described");
    RC_STR_AUTO streamed = uri(at, "streamed");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;
    struct rc_stat written;

    expect_ok(core_storage_put_with(at->storage, where, "x", 1, &put_first, NULL, &err));
    expect_attributes(at, "described", "text/csv", "ada");
    expect_ok(core_storage_create_with(at->storage, streamed, &put_first, &writer, &err));
    expect_ok(core_writer_write(writer, "x", 1, &err));
    expect_ok(core_writer_commit(writer, &err));
    core_writer_close(writer);
    expect_attributes(at, "streamed", "text/csv", "ada");

    assert_int_equal(copy_with(at, "described", "copied",
                               &(struct core_copy_options){ .size_bytes = 1 }, &written),
                     RC_OK);
    expect_attributes(at, "copied", "text/csv", "ada");
    assert_int_equal(
        copy_with(at, "described", "copied",
                  &(struct core_copy_options){ .size_bytes = 1, .attributes = &second }, &written),
        RC_OK);
    expect_attributes(at, "copied", "text/html", "bob");
    take_away(at, "described");
    take_away(at, "streamed");
    take_away(at, "copied");
}

static void check_copy_conditions(const struct place *at)
{
    enum rc_code met = at->refuses_conditions ? RC_UNSUPPORTED : RC_OK;
    struct rc_stat written = { .size_bytes = -1 };
    struct rc_stat old, source;

    put(at, "source", "old");
    old = look(at, "source");
    put(at, "source", "newer");
    source = look(at, "source");
    assert_int_equal(
        copy_with(at, "source", "target",
                  &(struct core_copy_options){ .source_if_match = old.etag, .size_bytes = 3 },
                  &written),
        RC_CONFLICT);
    assert_int_equal(look_code(at, "target"), RC_NOT_FOUND);
    assert_int_equal(copy_with(at, "source", "target",
                               &(struct core_copy_options){ .source_if_match = source.etag,
                                                            .if_match = RC_IF_ABSENT,
                                                            .size_bytes = 5 },
                               &written),
                     met);
    if (!met) {
        expect_content(at, "target", "newer");
        expect_written(at, "target", &written);
    }
    put(at, "target", "other");
    assert_int_equal(
        copy_with(at, "source", "target",
                  &(struct core_copy_options){ .if_match = RC_IF_ABSENT, .size_bytes = -1 }, NULL),
        RC_CONFLICT);
    expect_content(at, "target", "other");
    take_away(at, "source");
    take_away(at, "target");
}

/* ---- parts -------------------------------------------------------------------------------- */

struct part {
    const char *data;
    size_t len;
};

static enum rc_code read_part(void *context, int64_t offset_bytes, char *data, size_t capacity,
                              size_t *len, struct rc_error *err)
{
    const struct part *part = context;
    size_t left = part->len - (size_t)offset_bytes;

    (void)err;
    *len = left < capacity ? left : capacity;
    memcpy(data, part->data + offset_bytes, *len);
    return RC_OK;
}

static void put_part(struct core_parts *parts, const char *whole, int64_t offset, int64_t size)
{
    int64_t left = size - offset;
    struct part part = { whole + offset,
                         (size_t)(left < parts->part_bytes ? left : parts->part_bytes) };
    const struct core_http_content content = {
        .len_bytes = (int64_t)part.len,
        .read = read_part,
        .context = &part,
    };
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(parts->ops->put(parts, offset, &content, &err));
}

static struct core_parts *begin(const struct core_resolved *to, int64_t size, const char *if_match)
{
    const struct rc_put_options options = {
        .struct_bytes = sizeof(options),
        .if_match = if_match,
        .size_bytes = size,
    };
    struct rc_error err = RC_ERROR_INIT;
    struct core_parts *parts = NULL;

    expect_ok(to->ops->begin_parts(&to->place, &options, &parts, &err));
    return parts;
}

static void expect_whole(const struct place *at, const char *name, const char *whole, int64_t size)
{
    RC_STR_AUTO where = uri(at, name);
    RC_BUF_AUTO(body, (size_t)size);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_storage_get(at->storage, where, &body, &err));
    assert_int_equal(body.len, size);
    assert_memory_equal(body.data, whole, (size_t)size);
}

static void check_parts(const struct place *at)
{
    CORE_RESOLVED_AUTO(to);
    RC_STR_AUTO where = uri(at, "in/parts");
    struct rc_error err = RC_ERROR_INIT;
    struct core_parts *parts;
    const struct core_sweep all = { .before_unix_ms = INT64_MAX };
    int64_t swept, size;

    expect_ok(core_resolve(at->storage, where, &to, &err));
    if (!to.ops->begin_parts || to.ops->capabilities & CORE_STORAGE_ORDERED_PARTS)
        return;
    parts = begin(&to, INT64_C(17) << 20, NULL);
    size = 2 * parts->part_bytes + 1234;
    RC_STR_AUTO whole = rc_malloc((size_t)size);
    for (int64_t i = 0; i < size; i++)
        whole[i] = (char)(i * 7 + i / 1000);
    put_part(parts, whole, parts->part_bytes, size);
    assert_int_equal(look_code(at, "in/parts"), RC_NOT_FOUND);
    parts->ops->close(parts);
    assert_int_equal(look_code(at, "in/parts"), RC_NOT_FOUND);

    parts = begin(&to, size, RC_IF_ABSENT);
    put_part(parts, whole, 2 * parts->part_bytes, size);
    put_part(parts, whole + 1, 0, size);
    put_part(parts, whole, parts->part_bytes, size);
    put_part(parts, whole, 0, size);
    assert_int_equal(look_code(at, "in/parts"), RC_NOT_FOUND);
    expect_ok(parts->ops->commit(parts, &err));
    expect_written(at, "in/parts", &parts->stat);
    parts->ops->close(parts);
    expect_whole(at, "in/parts", whole, size);

    parts = begin(&to, 1, RC_IF_ABSENT);
    put_part(parts, whole, 0, 1);
    assert_int_equal(parts->ops->commit(parts, &err), RC_CONFLICT);
    parts->ops->close(parts);
    expect_whole(at, "in/parts", whole, size);
    take_away(at, "in/parts");
    expect_ok(core_storage_sweep(at->storage, at->base, &all, &swept, &err));
    assert_int_equal(swept, 0);
}

/* A store may say that it knows no conditions, but not pass them over. */
static void check_refused_conditions(const struct place *at)
{
    struct rc_stat first;

    assert_int_equal(put_if(at, "cond", "x", "no-such-tag"), RC_CONFLICT);
    assert_int_equal(put_if(at, "cond", "x", RC_IF_ABSENT), RC_UNSUPPORTED);
    assert_int_equal(look_code(at, "cond"), RC_NOT_FOUND);
    put(at, "cond", "1");
    first = look(at, "cond");
    assert_int_equal(put_if(at, "cond", "2", RC_IF_ABSENT), RC_CONFLICT);
    assert_int_equal(put_if(at, "cond", "3", "no-such-tag"), RC_CONFLICT);
    assert_int_equal(put_if(at, "cond", "4", first.etag), RC_UNSUPPORTED);
    expect_content(at, "cond", "1");
    take_away(at, "cond");
}

static void check_conditions(const struct place *at)
{
    struct rc_stat first;

    assert_int_equal(put_if(at, "cond", "x", "no-such-tag"), RC_CONFLICT);
    assert_int_equal(look_code(at, "cond"), RC_NOT_FOUND);
    assert_int_equal(put_if(at, "cond", "1", RC_IF_ABSENT), RC_OK);
    assert_int_equal(put_if(at, "cond", "2", RC_IF_ABSENT), RC_CONFLICT);
    expect_content(at, "cond", "1");
    first = look(at, "cond");
    assert_int_equal(put_if(at, "cond", "3", first.etag), RC_OK);
    assert_int_equal(put_if(at, "cond", "4", first.etag), RC_CONFLICT);
    expect_content(at, "cond", "3");
    take_away(at, "cond");
    assert_int_equal(put_if(at, "cond", "5", first.etag), RC_CONFLICT);
    assert_int_equal(put_if(at, "cond", "6", RC_IF_ABSENT), RC_OK);
    expect_content(at, "cond", "6");
    take_away(at, "cond");
}

static void check_listings(const struct place *at)
{
    static const char *const names[] = { "l/ab",   "l/a/z",     "l/a-b", "l/a.b/y",   "l/abc",
                                         "l/ab/x", "l/b/c/d/e", "l/B",   "l/\xc3\xa4" };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        if (strcmp(names[i], "l/ab") !=
            0) /* on files a name is an object or has objects below it */
            put(at, names[i], "x");
    /* The order is that of the bytes of whole keys: '-' and '.' come before '/'. */
    list_all(at, "l/", "B a-b a.b/y a/z ab/x abc b/c/d/e \xc3\xa4 ");
    list_all(at, "l/a", "-b .b/y /z b/x bc ");
    list_all(at, "l/ab", "/x c ");
    list_all(at, "l/ab/", "x ");
    list_all(at, "l/abc", " ");
    list_all(at, "l/abcd", "");
    list_all(at, "l/nothing/here/", "");
    list_all(at, "l/abc/below-an-object", "");
    expect_listing(at, "l/", true, NULL, "B a-b [a.b/] [a/] [ab/] abc [b/] \xc3\xa4 ");
    expect_listing(at, "l", true, NULL, "[/] ");
    expect_listing(at, "l/b", true, NULL, "[/] ");
    expect_listing(at, "l/b/", true, NULL, "[c/] ");
    expect_listing(at, "l/ab", true, NULL, "[/] c ");

    expect_listing(at, "l/", false, "a/z", "ab/x abc b/c/d/e \xc3\xa4 ");
    expect_listing(at, "l/", false, "a.b/y", "a/z ab/x abc b/c/d/e \xc3\xa4 ");
    expect_listing(at, "l/", false, "a.b/", "a.b/y a/z ab/x abc b/c/d/e \xc3\xa4 ");
    expect_listing(at, "l/", false, "b/c/d/", "b/c/d/e \xc3\xa4 ");
    expect_listing(at, "l/", false, "b/c/d/f", "\xc3\xa4 ");
    expect_listing(at, "l/a", false, "b/x", "bc ");
    expect_listing(at, "l/", false, "\xff", "");
    expect_listing(at, "l/", true, "a/", "[ab/] abc [b/] \xc3\xa4 ");
    expect_listing(at, "l/", true, "a-b", "[a.b/] [a/] [ab/] abc [b/] \xc3\xa4 ");

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        take_away(at, names[i]);
    list_all(at, "l/", "");
    expect_listing(at, "l/", true, NULL, "");
}

/* More than any store gives in one page; files have no pages. */
static void check_pages(const struct place *at)
{
    const size_t count = is_local(at) ? 60 : 1030, step = count / 2;
    RC_STR_AUTO where = uri(at, "pages/");
    char **uris = rc_calloc(count, sizeof(*uris));
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < count; i++) {
        uris[i] = rc_strf("%s%05zu", where, i);
        expect_ok(core_storage_put(at->storage, uris[i], "", 0, NULL, &err));
    }
    for (size_t from = 0; from <= count; from += step) {
        RC_STR_AUTO after = rc_strf("%05zu", from);
        const struct rc_list_options options = { .start_after = from > 0 ? after : NULL };
        struct rc_listing *listing;
        const struct rc_object *object;
        size_t next = from > 0 ? from + 1 : 0;

        expect_ok(core_storage_list(at->storage, where, &options, &listing, &err));
        for (;; next++) {
            expect_ok(core_listing_next(listing, &object, &err));
            if (!object)
                break;
            assert_string_equal(object->uri, uris[next]);
        }
        core_listing_close(listing);
        assert_int_equal(next, from == count ? count + 1 : count);
    }
    expect_ok(core_storage_remove(at->storage, (const char *const *)uris, count, &err));
    for (size_t i = 0; i < count; i++)
        free(uris[i]);
    free(uris);
}

static enum rc_code transfer(const struct place *at, bool moves, const char *source,
                             const char *target)
{
    RC_STR_AUTO from = uri(at, source);
    RC_STR_AUTO to = uri(at, target);
    struct rc_error err = RC_ERROR_INIT;

    return moves ? core_storage_move(at->storage, from, to, &err)
                 : core_storage_copy(at->storage, from, to, &err);
}

static void check_copy_and_move(const struct place *at)
{
    put(at, "from", "content");
    assert_int_equal(transfer(at, false, "from", "new/folder/to"), RC_OK);
    expect_content(at, "from", "content");
    expect_content(at, "new/folder/to", "content");
    put(at, "from", "newer");
    assert_int_equal(transfer(at, false, "from", "new/folder/to"), RC_OK);
    expect_content(at, "new/folder/to", "newer");
    assert_int_equal(transfer(at, false, "missing", "to"), RC_NOT_FOUND);
    assert_int_equal(look_code(at, "to"), RC_NOT_FOUND);

    assert_int_equal(transfer(at, true, "from", "moved/there"), RC_OK);
    expect_content(at, "moved/there", "newer");
    assert_int_equal(look_code(at, "from"), RC_NOT_FOUND);
    put(at, "over", "old");
    assert_int_equal(transfer(at, true, "moved/there", "over"), RC_OK);
    expect_content(at, "over", "newer");
    assert_int_equal(transfer(at, true, "over", "over"), RC_OK);
    expect_content(at, "over", "newer");
    assert_int_equal(transfer(at, true, "missing", "missing"), RC_NOT_FOUND);
    assert_int_equal(transfer(at, true, "missing", "over"), RC_NOT_FOUND);
    expect_content(at, "over", "newer");
    take_away(at, "over");
    take_away(at, "new/folder/to");
}

static void count_failed(void *context, size_t index, const struct rc_error *err)
{
    (void)index;
    assert_true(err->code != RC_OK);
    ++*(size_t *)context;
}

static void check_remove(const struct place *at)
{
    enum { COUNT = 1203 };
    size_t failed = 0;
    const struct core_remove_report report = { .failed = count_failed, .context = &failed };
    char **uris = rc_calloc(COUNT, sizeof(*uris));
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < COUNT; i++)
        uris[i] = rc_strf("%s/batch/%zu/%zu", at->base, i % 7, i);
    for (size_t i = 0; i < COUNT; i += 10)
        expect_ok(core_storage_put(at->storage, uris[i], "x", 1, NULL, &err));
    put(at, "batch/stays", "x");
    expect_ok(core_storage_remove(at->storage, (const char *const *)uris, COUNT, &err));
    list_all(at, "batch/", "stays ");
    expect_ok(core_storage_remove_with(at->storage, (const char *const *)uris, NULL, COUNT, &report,
                                       &err));
    assert_int_equal(failed, 0);
    expect_ok(core_storage_remove(at->storage, NULL, 0, &err));
    /* What only has objects below it is none itself. */
    take_away(at, "batch");
    expect_content(at, "batch/stays", "x");
    take_away(at, "batch/stays");
    for (size_t i = 0; i < COUNT; i++)
        free(uris[i]);
    free(uris);
}

static void check_all(struct core_storage *storage, const char *base, bool refuses_conditions)
{
    const struct place at = { storage, base, refuses_conditions };

    list_all(&at, "", "");
    check_put_and_get(&at);
    check_odd_names(&at);
    check_ranges(&at);
    check_pinned_ranges(&at);
    check_writer(&at);
    check_written(&at);
    check_attributes(&at);
    check_parts(&at);
    if (refuses_conditions)
        check_refused_conditions(&at);
    else
        check_conditions(&at);
    check_listings(&at);
    check_pages(&at);
    check_copy_conditions(&at);
    check_copy_and_move(&at);
    check_remove(&at);
    list_all(&at, "", "");
}

void storage_conformance(struct core_storage *storage, const char *base)
{
    check_all(storage, base, /* refuses_conditions = */ false);
    storage_conformance_exact(storage, base);
}

void storage_conformance_without_conditions(struct core_storage *storage, const char *base)
{
    check_all(storage, base, /* refuses_conditions = */ true);
}
