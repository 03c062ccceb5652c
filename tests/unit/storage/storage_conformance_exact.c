/*
 * The semantics of storage for those who act on one certain object, or on all that it was:
 *
 *   remove one   if_match: RC_CONFLICT if it is another one, or none; a version is gone for ever
 *   versions     of every object, the newest first; marks of removals; those that are no more can
 *                be read and removed; a store without versions lists its objects
 *   keep         a new object has the attributes of the one whose entity tag it names
 */
#include "storage_conformance.h"

#include <storage/resolve.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

static void put(struct core_storage *storage, const char *uri, const char *text)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_storage_put(storage, uri, text, strlen(text), NULL, &err));
}

static struct rc_stat look(struct core_storage *storage, const char *uri)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    expect_ok(core_storage_stat(storage, uri, &stat, &err));
    return stat;
}

static bool is_there(struct core_storage *storage, const char *uri)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    return core_storage_stat(storage, uri, &stat, &err) == RC_OK;
}

static enum rc_code drop(struct core_storage *storage, const char *uri, const char *if_match,
                         const char *version)
{
    const struct rc_remove_options options = {
        .struct_bytes = sizeof(options),
        .if_match = if_match,
        .version = version,
    };
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = core_storage_remove_one(storage, uri, &options, &err);

    if (code)
        assert_true(err.cause[0] != '\0');
    assert_int_equal(code, err.code);
    return code;
}

static void expect_version(struct core_storage *storage, const char *uri, const char *version,
                           const char *content)
{
    const struct core_range all = { .len_bytes = -1 };
    RC_BUF_AUTO(body, 1 << 10);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_reader *reader;
    size_t len;

    expect_ok(core_storage_open_with(storage, uri, version, &all, &reader, &err));
    do {
        char piece[100];

        expect_ok(core_reader_read(reader, piece, sizeof(piece), &len, &err));
        rc_buf_add(&body, piece, len);
    } while (len > 0);
    core_reader_close(reader);
    assert_string_equal(body.data, content);
}

/* ---- versions -------------------------------------------------------------------------------- */

struct seen {
    struct rc_buf text; /* "name:current:removal " each, what does not apply left out */
    char **versions;
    size_t count;
};

static void forget(struct seen *seen)
{
    for (size_t i = 0; i < seen->count; i++)
        free(seen->versions[i]);
    free(seen->versions);
    rc_buf_clear(&seen->text);
}

static struct seen list_versions(struct core_storage *storage, const char *prefix)
{
    struct seen seen = { .text = RC_BUF_INIT(1 << 20) };
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_version *version;
    struct rc_listing *listing;

    expect_ok(core_storage_versions(storage, prefix, &listing, &err));
    for (;;) {
        /* What an earlier failure has left there says nothing of this call. */
        (void)rc_fail(&err, RC_NOT_FOUND, "left over");
        expect_ok(core_listing_next_version(listing, &version, &err));
        if (!version)
            break;
        assert_true(rc_str_starts(version->uri, prefix) &&
                    rc_str_eq(version->uri + strlen(prefix), version->name));
        assert_true(version->stat.modified_unix_ms > 0);
        rc_buf_addf(&seen.text, "%s%s%s ", version->name, version->is_current ? ":current" : "",
                    version->is_removal ? ":removal" : "");
        seen.versions = rc_realloc(seen.versions, (seen.count + 1) * sizeof(*seen.versions));
        seen.versions[seen.count++] = rc_strdup(version->version);
    }
    core_listing_close(listing);
    return seen;
}

static void expect_versions(struct core_storage *storage, const char *prefix, const char *expected)
{
    struct seen seen = list_versions(storage, prefix);

    assert_string_equal(seen.text.data, expected);
    forget(&seen);
}

static void remove_all_versions(struct core_storage *storage, const char *prefix,
                                const char *const *uris, size_t count)
{
    struct seen seen = list_versions(storage, prefix);
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(seen.count, count);
    expect_ok(core_storage_remove_with(storage, uris, (const char *const *)seen.versions, count,
                                       NULL, &err));
    forget(&seen);
}

static void check_history(struct core_storage *storage, const char *base)
{
    RC_STR_AUTO prefix = rc_strf("%s/", base);
    RC_STR_AUTO one = rc_strf("%s/one", base);
    RC_STR_AUTO other = rc_strf("%s/other", base);
    const struct core_range all = { .len_bytes = -1 };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_reader *reader;
    struct seen seen;

    put(storage, one, "1");
    put(storage, one, "22");
    put(storage, other, "x");
    expect_versions(storage, prefix, "one:current one other:current ");
    /* An object that is removed is only marked so; what it was can be read. */
    assert_int_equal(drop(storage, one, look(storage, one).etag, NULL), RC_OK);
    assert_false(is_there(storage, one));
    assert_int_equal(drop(storage, one, "any", NULL), RC_CONFLICT);
    assert_int_equal(drop(storage, other, NULL, NULL), RC_OK);

    seen = list_versions(storage, one);
    bool has_marks = seen.count == 3; /* Google's store has none, only no current version */
    if (!has_marks)
        assert_string_equal(seen.text.data, "  ");
    else
        assert_string_equal(seen.text.data, ":current:removal   ");
    expect_version(storage, one, seen.versions[seen.count - 2], "22");
    expect_version(storage, one, seen.versions[seen.count - 1], "1");
    if (has_marks) {
        assert_int_equal(
            core_storage_open_with(storage, one, seen.versions[0], &all, &reader, &err),
            RC_NOT_FOUND);
        assert_int_equal(drop(storage, one, NULL, seen.versions[0]), RC_OK);
        assert_int_equal(look(storage, one).size_bytes, 2);
        expect_versions(storage, one, ":current  ");
    }
    /* For ever, one after the other, and again. */
    for (size_t i = seen.count - 2; i < seen.count; i++)
        assert_int_equal(drop(storage, one, NULL, seen.versions[i]), RC_OK);
    assert_int_equal(drop(storage, one, NULL, seen.versions[seen.count - 1]), RC_OK);
    assert_int_equal(
        core_storage_open_with(storage, one, seen.versions[seen.count - 1], &all, &reader, &err),
        RC_NOT_FOUND);
    forget(&seen);
    expect_versions(storage, one, "");
    const char *const others[] = { other, other };
    remove_all_versions(storage, prefix, others, has_marks ? 2 : 1);
}

/* More than two pages of them, of which one object's go over the border of two. */
static void check_pages(struct core_storage *storage, const char *base)
{
    enum { FIRST = 995, SECOND = 205 };
    RC_STR_AUTO prefix = rc_strf("%s/many/", base);
    RC_STR_AUTO first = rc_strf("%sa", prefix);
    RC_STR_AUTO second = rc_strf("%sb", prefix);
    const char **uris = rc_calloc(FIRST + SECOND, sizeof(*uris));
    struct seen seen;

    for (size_t i = 0; i < FIRST + SECOND; i++) {
        uris[i] = i < FIRST ? first : second;
        put(storage, uris[i], i < FIRST ? "a" : "b");
    }
    seen = list_versions(storage, prefix);
    assert_int_equal(seen.count, FIRST + SECOND);
    assert_true(rc_str_starts(seen.text.data, "a:current a a "));
    assert_non_null(strstr(seen.text.data, "a a b:current b b "));
    for (size_t i = 1; i < seen.count; i++)
        assert_string_not_equal(seen.versions[i], seen.versions[i - 1]);
    forget(&seen);
    remove_all_versions(storage, prefix, uris, FIRST + SECOND);
    expect_versions(storage, prefix, "");
    free(uris);
}

static enum rc_code write(struct core_storage *storage, const char *uri, size_t len,
                          const char *if_match)
{
    const struct rc_put_options options = {
        .struct_bytes = sizeof(options),
        .if_match = if_match,
        .size_bytes = (int64_t)len,
    };
    RC_STR_AUTO data = rc_malloc(len);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;
    enum rc_code code;

    memset(data, 'x', len);
    if (core_storage_create_with(storage, uri, &options, &writer, &err))
        return err.code;
    code = core_writer_write(writer, data, len, &err);
    if (!code)
        code = core_writer_commit(writer, &err);
    core_writer_close(writer);
    return code;
}

/* What was refused leaves no version. 'len' bytes are written at once, or in parts. */
static void check_conditions(struct core_storage *storage, const char *base, size_t len)
{
    RC_STR_AUTO uri = rc_strf("%s/certain", base);
    struct rc_stat first;
    struct seen seen;

    assert_int_equal(write(storage, uri, len, "0123456789"), RC_CONFLICT);
    expect_versions(storage, uri, "");
    assert_int_equal(write(storage, uri, len, RC_IF_ABSENT), RC_OK);
    assert_int_equal(write(storage, uri, len, RC_IF_ABSENT), RC_CONFLICT);
    expect_versions(storage, uri, ":current ");
    first = look(storage, uri);
    assert_int_equal(write(storage, uri, len + 1, first.etag), RC_OK);
    assert_int_equal(write(storage, uri, len + 2, first.etag), RC_CONFLICT);
    expect_versions(storage, uri, ":current  ");
    assert_int_equal(drop(storage, uri, first.etag, NULL), RC_CONFLICT);
    expect_versions(storage, uri, ":current  ");
    assert_int_equal(drop(storage, uri, look(storage, uri).etag, NULL), RC_OK);
    assert_int_equal(write(storage, uri, len, first.etag), RC_CONFLICT);
    assert_false(is_there(storage, uri));
    assert_int_equal(write(storage, uri, len, RC_IF_ABSENT), RC_OK);
    assert_int_equal(look(storage, uri).size_bytes, (int64_t)len);

    seen = list_versions(storage, uri);
    for (size_t i = 0; i < seen.count; i++)
        assert_int_equal(drop(storage, uri, NULL, seen.versions[i]), RC_OK);
    forget(&seen);
    expect_versions(storage, uri, "");
}

void storage_conformance_versions(struct core_storage *storage, const char *base)
{
    check_history(storage, base);
    check_conditions(storage, base, 1);
    check_conditions(storage, base, 11 << 20);
    check_pages(storage, base);
}

/* ---- one certain object ---------------------------------------------------------------------- */

static void check_remove_one(struct core_storage *storage, const char *base)
{
    RC_STR_AUTO uri = rc_strf("%s/certain", base);
    struct rc_stat first;

    put(storage, uri, "first");
    first = look(storage, uri);
    put(storage, uri, "second");
    assert_int_equal(drop(storage, uri, first.etag, NULL), RC_CONFLICT);
    assert_int_equal(look(storage, uri).size_bytes, 6);
    assert_int_equal(drop(storage, uri, look(storage, uri).etag, NULL), RC_OK);
    assert_false(is_there(storage, uri));
    assert_int_equal(drop(storage, uri, first.etag, NULL), RC_CONFLICT);
    assert_int_equal(drop(storage, uri, NULL, NULL), RC_OK);
    assert_int_equal(drop(storage, uri, first.etag, "version"), RC_INVALID);
    assert_int_equal(drop(storage, uri, RC_IF_ABSENT, NULL), RC_INVALID);
}

static void check_current_versions(struct core_storage *storage, const char *base)
{
    RC_STR_AUTO prefix = rc_strf("%s/", base);
    RC_STR_AUTO one = rc_strf("%s/one", base);
    RC_STR_AUTO other = rc_strf("%s/folder/other", base);

    put(storage, one, "1");
    put(storage, one, "2");
    put(storage, other, "3");
    expect_versions(storage, prefix, "folder/other:current one:current ");
    assert_int_equal(drop(storage, one, NULL, NULL), RC_OK);
    assert_int_equal(drop(storage, other, NULL, NULL), RC_OK);
    expect_versions(storage, prefix, "");
}

static enum rc_code replace(struct core_storage *storage, const char *uri, const char *text,
                            const char *if_match, bool as_stream)
{
    const struct rc_put_options options = {
        .struct_bytes = sizeof(options),
        .if_match = if_match,
        .size_bytes = -1,
        .keep_attributes = true,
    };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;

    if (!as_stream)
        return core_storage_put_with(storage, uri, text, strlen(text), &options, NULL, &err);
    if (core_storage_create_with(storage, uri, &options, &writer, &err))
        return err.code;
    if (!core_writer_write(writer, text, strlen(text), &err))
        (void)!core_writer_commit(writer, &err);
    core_writer_close(writer);
    return err.code;
}

static void check_kept_attributes(struct core_storage *storage, const char *base, bool as_stream)
{
    static const struct rc_pair owner = { "owner", "ada \xc3\xa4" };
    const struct rc_attributes given = {
        .content_type = "text/csv",
        .content_language = "cs",
        .cache_control = "no-store",
        .metadata = { 1, &owner },
    };
    struct rc_put_options first = {
        .struct_bytes = sizeof(first),
        .size_bytes = 1,
        .attributes = &given,
    };
    CORE_OBJECT_DETAIL_AUTO(detail);
    RC_STR_AUTO uri = rc_strf("%s/kept", base);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat before, stat;

    expect_ok(core_storage_put_with(storage, uri, "1", 1, &first, NULL, &err));
    before = look(storage, uri);
    assert_int_equal(replace(storage, uri, "22", before.etag, as_stream), RC_OK);
    assert_int_equal(replace(storage, uri, "333", before.etag, as_stream), RC_CONFLICT);
    assert_int_equal(replace(storage, uri, "333", NULL, as_stream), RC_INVALID);
    assert_int_equal(replace(storage, uri, "333", RC_IF_ABSENT, as_stream), RC_INVALID);
    expect_ok(core_storage_stat_with(storage, uri, NULL, &stat, &detail, &err));
    assert_int_equal(stat.size_bytes, 2);
    if (detail.attributes.content_type) { /* files have none */
        assert_string_equal(detail.attributes.content_type, "text/csv");
        assert_string_equal(detail.attributes.content_language, "cs");
        assert_string_equal(detail.attributes.cache_control, "no-store");
        assert_int_equal(detail.attributes.metadata.len, 1);
        assert_string_equal(detail.attributes.metadata.items[0].value, "ada \xc3\xa4");
    }
    first.keep_attributes = true;
    first.if_match = stat.etag;
    assert_int_equal(core_storage_put_with(storage, uri, "1", 1, &first, NULL, &err), RC_INVALID);
    assert_int_equal(drop(storage, uri, NULL, NULL), RC_OK);
    assert_int_equal(replace(storage, uri, "22", stat.etag, as_stream), RC_CONFLICT);
    assert_false(is_there(storage, uri));
}

void storage_conformance_exact(struct core_storage *storage, const char *base)
{
    RC_STR_AUTO neighbour = rc_strf("%s/neighbour", base);

    check_remove_one(storage, base);
    check_current_versions(storage, base);
    put(storage, neighbour, "stays"); /* and with it the folder that holds both */
    check_kept_attributes(storage, base, /* as_stream = */ false);
    check_kept_attributes(storage, base, /* as_stream = */ true);
    assert_int_equal(drop(storage, neighbour, NULL, NULL), RC_OK);
}
