/*
 * The semantic table of storage, in the order of the operations in storage.h.
 */
#include "storage_conformance.h"

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct place {
    struct core_storage *storage;
    const char *base;
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
        "with blank", "pct%20enc", "plus+and&amp", "umlaut-\xc3\xa4",
        "quote'\"`",  "a=b/c=d",   "#hash?q",      "...",
        "~tilde",     "dot.",      ".hidden",
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        RC_STR_AUTO name = rc_strf("odd/%s", names[i]);
        RC_STR_AUTO expected = rc_strf("%s ", names[i]);

        put(at, name, names[i]);
        expect_content(at, name, names[i]);
        list_all(at, "odd/", expected);
        take_away(at, name);
    }
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

static void check_remove(const struct place *at)
{
    enum { COUNT = 1203 };
    char **uris = rc_calloc(COUNT, sizeof(*uris));
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < COUNT; i++)
        uris[i] = rc_strf("%s/batch/%zu/%zu", at->base, i % 7, i);
    for (size_t i = 0; i < COUNT; i += 10)
        expect_ok(core_storage_put(at->storage, uris[i], "x", 1, NULL, &err));
    put(at, "batch/stays", "x");
    expect_ok(core_storage_remove(at->storage, (const char *const *)uris, COUNT, &err));
    list_all(at, "batch/", "stays ");
    expect_ok(core_storage_remove(at->storage, (const char *const *)uris, COUNT, &err));
    expect_ok(core_storage_remove(at->storage, NULL, 0, &err));
    /* What only has objects below it is none itself. */
    take_away(at, "batch");
    expect_content(at, "batch/stays", "x");
    take_away(at, "batch/stays");
    for (size_t i = 0; i < COUNT; i++)
        free(uris[i]);
    free(uris);
}

void storage_conformance(struct core_storage *storage, const char *base)
{
    const struct place at = { storage, base };

    list_all(&at, "", "");
    check_put_and_get(&at);
    check_odd_names(&at);
    check_ranges(&at);
    check_writer(&at);
    check_conditions(&at);
    check_listings(&at);
    check_copy_and_move(&at);
    check_remove(&at);
    list_all(&at, "", "");
}
