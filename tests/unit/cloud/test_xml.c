/*
 * The reader of XML: paths, texts, and what it refuses.
 */
#include <cloud/xml.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum rc_code note_begin(void *context, const char *path, struct rc_error *err)
{
    (void)err;
    rc_buf_addf(context, "(%s", path);
    return RC_OK;
}

static enum rc_code note_end(void *context, const char *path, const char *text, size_t len,
                             struct rc_error *err)
{
    assert_int_equal(strlen(text), len);
    rc_buf_addf(context, "=%s)", text);
    return rc_str_eq(path, "a/stop") ? rc_fail(err, RC_CONFLICT, "stopped") : RC_OK;
}

static enum rc_code read_text(const char *text, struct rc_buf *told, struct rc_error *err)
{
    const struct core_xml_events events = {
        .begin = note_begin,
        .end = note_end,
        .context = told,
    };

    rc_buf_reset(told);
    return core_xml_read(text, strlen(text), &events, err);
}

static void tells_paths_and_texts(void **state)
{
    RC_BUF_AUTO(told, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(
        read_text("<?xml version='1.0'?>\n<a><b>x &amp; y&#33;</b><c/></a>\n", &told, &err), RC_OK);
    assert_string_equal(told.data, "(a(a/b=x & y!)(a/c=)=)");
    assert_int_equal(
        read_text("<n:a xmlns:n='u'><n:b>\xc3\xa4<![CDATA[<&]]></n:b></n:a>", &told, &err), RC_OK);
    assert_string_equal(told.data, "(a(a/b=\xc3\xa4<&)=)");
    assert_int_equal(read_text("<a><stop/><b/></a>", &told, &err), RC_CONFLICT);
    assert_string_equal(told.data, "(a(a/stop=)");
    assert_string_equal(err.cause, "stopped");
}

struct spans {
    const char *text;
    struct rc_buf told;
};

static void note_span(void *context, const char *path, size_t begin, size_t behind)
{
    struct spans *spans = context;

    rc_buf_addf(&spans->told, "%s:%.*s\n", path, (int)(behind - begin), spans->text + begin);
}

static enum rc_code end_nothing(void *context, const char *path, const char *text, size_t len,
                                struct rc_error *err)
{
    (void)context;
    (void)path;
    (void)text;
    (void)len;
    (void)err;
    return RC_OK;
}

static void tells_where_elements_stand(void **state)
{
    struct spans spans = {
        .text = "<?xml version='1.0'?>\n<a> <b c='d'>\xc3\xa4<e/>\r\n</b ><b/><!-- x --> </a>\n",
        .told = RC_BUF_INIT(1 << 20),
    };
    const struct core_xml_events events = {
        .end = end_nothing,
        .span = note_span,
        .context = &spans,
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_xml_read(spans.text, strlen(spans.text), &events, &err), RC_OK);
    assert_string_equal(spans.told.data,
                        "a/b/e:<e/>\n"
                        "a/b:<b c='d'>\xc3\xa4<e/>\r\n</b >\n"
                        "a/b:<b/>\n"
                        "a:<a> <b c='d'>\xc3\xa4<e/>\r\n</b ><b/><!-- x --> </a>\n");
    rc_buf_clear(&spans.told);
}

static void refuses_what_is_broken_or_beyond_the_limits(void **state)
{
    static const char *const broken[] = {
        "",
        " ",
        "text",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a>&none;</a>",
        "<a>\x01</a>",
        "<a>\xff</a>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
        "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>",
    };
    RC_BUF_AUTO(told, 1 << 20);
    RC_BUF_AUTO(large, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(broken); i++) {
        assert_int_equal(read_text(broken[i], &told, &err), RC_CORRUPT);
        assert_non_null(strstr(err.cause, "the XML"));
    }
    rc_buf_adds(&large, "<a>");
    for (int i = 0; i < 70000; i++)
        rc_buf_addc(&large, 'x');
    rc_buf_adds(&large, "</a>");
    assert_int_equal(read_text(large.data, &told, &err), RC_CORRUPT);
    assert_non_null(strstr(err.cause, "more than 65536 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_paths_and_texts),
        cmocka_unit_test(tells_where_elements_stand),
        cmocka_unit_test(refuses_what_is_broken_or_beyond_the_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
