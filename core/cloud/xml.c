/*
 * Reading XML by expat: the path of the present element, its text, and the limits of both. What
 * the elements mean is the caller's business.
 */
#include <cloud/xml.h>

#include <os/library.h>

#include <run-core/buf.h>

#include <expat.h>
#include <pthread.h>
#include <string.h>

enum {
    DEPTH_LIMIT = 16,
    PATH_LIMIT = 1024,
    TEXT_LIMIT = 64 * 1024,  /* of one element: a key of 1 KiB, escaped, has 6 KiB at most */
    PIECE = 16 * 1024 * 1024 /* handed to expat at once: it counts in int */
};

/* The functions of expat in use, as their own header declares them. */
struct expat {
    __typeof__(&XML_ParserCreate) create;
    __typeof__(&XML_ParserFree) free;
    __typeof__(&XML_SetUserData) set_user_data;
    __typeof__(&XML_SetElementHandler) set_element_handler;
    __typeof__(&XML_SetCharacterDataHandler) set_text_handler;
    __typeof__(&XML_SetStartDoctypeDeclHandler) set_doctype_handler;
    __typeof__(&XML_Parse) parse;
    __typeof__(&XML_StopParser) stop;
    __typeof__(&XML_GetErrorCode) error_code;
    __typeof__(&XML_ErrorString) error_string;
    __typeof__(&XML_GetCurrentLineNumber) line;
    __typeof__(&XML_GetCurrentByteIndex) index;
    __typeof__(&XML_GetCurrentByteCount) count;
};

static const struct core_library_symbol symbols[] = {
    { "XML_ParserCreate", offsetof(struct expat, create) },
    { "XML_ParserFree", offsetof(struct expat, free) },
    { "XML_SetUserData", offsetof(struct expat, set_user_data) },
    { "XML_SetElementHandler", offsetof(struct expat, set_element_handler) },
    { "XML_SetCharacterDataHandler", offsetof(struct expat, set_text_handler) },
    { "XML_SetStartDoctypeDeclHandler", offsetof(struct expat, set_doctype_handler) },
    { "XML_Parse", offsetof(struct expat, parse) },
    { "XML_StopParser", offsetof(struct expat, stop) },
    { "XML_GetErrorCode", offsetof(struct expat, error_code) },
    { "XML_ErrorString", offsetof(struct expat, error_string) },
    { "XML_GetCurrentLineNumber", offsetof(struct expat, line) },
    { "XML_GetCurrentByteIndex", offsetof(struct expat, index) },
    { "XML_GetCurrentByteCount", offsetof(struct expat, count) },
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct expat loaded;

static enum rc_code load(struct rc_error *err)
{
    enum rc_code code = RC_OK;

    (void)pthread_mutex_lock(&mutex);
    if (!loaded.create) {
        struct expat expat = { .create = NULL };

        code = core_library_load("libexpat.so.1", symbols, RC_ARRAY_LEN(symbols), &expat, err);
        if (code)
            (void)rc_context(err, "read XML (install the package libexpat1)");
        else
            loaded = expat;
    }
    (void)pthread_mutex_unlock(&mutex);
    return code;
}

struct reader {
    XML_Parser parser;
    const struct core_xml_events *events;
    struct rc_buf path, text;
    size_t depth;
    size_t begins[DEPTH_LIMIT]; /* of the elements that are open */
    struct rc_error *err;
    enum rc_code stopped; /* why a handler ended the reading */
};

/* What a handler came to: all but RC_OK ends the reading. */
static void conclude(struct reader *reader, enum rc_code code)
{
    if (code == RC_OK || reader->stopped)
        return;
    reader->stopped = code;
    (void)loaded.stop(reader->parser, XML_FALSE);
}

static void on_begin(void *context, const char *name, const char **attributes)
{
    struct reader *reader = context;
    const char *colon = strchr(name, ':');

    (void)attributes;
    /* What was begun before a stop may still be told. */
    if (reader->stopped)
        return;
    if (reader->depth > 0)
        rc_buf_addc(&reader->path, '/');
    rc_buf_adds(&reader->path, colon ? colon + 1 : name);
    rc_buf_reset(&reader->text);
    if (reader->depth < DEPTH_LIMIT)
        reader->begins[reader->depth] = (size_t)loaded.index(reader->parser);
    reader->depth++;
    if (reader->depth > DEPTH_LIMIT || reader->path.overflow)
        conclude(reader, rc_fail(reader->err, RC_CORRUPT, "the XML has elements more than %d deep",
                                 DEPTH_LIMIT));
    else if (reader->events->begin)
        conclude(reader,
                 reader->events->begin(reader->events->context, reader->path.data, reader->err));
}

static void on_end(void *context, const char *name)
{
    struct reader *reader = context;
    const char *slash;

    (void)name;
    if (reader->stopped)
        return;
    if (reader->events->span)
        reader->events->span(
            reader->events->context, reader->path.data, reader->begins[reader->depth - 1],
            (size_t)loaded.index(reader->parser) + (size_t)loaded.count(reader->parser));
    conclude(reader, reader->events->end(reader->events->context, reader->path.data,
                                         reader->text.data, reader->text.len, reader->err));
    slash = strrchr(reader->path.data, '/');
    rc_buf_truncate(&reader->path, slash ? (size_t)(slash - reader->path.data) : 0);
    rc_buf_reset(&reader->text);
    reader->depth--;
}

static void on_text(void *context, const char *text, int len)
{
    struct reader *reader = context;

    rc_buf_add(&reader->text, text, (size_t)len);
    if (reader->text.overflow)
        conclude(reader, rc_fail(reader->err, RC_CORRUPT,
                                 "the XML's element '%.100s' has a text of more than %d bytes",
                                 reader->path.data, TEXT_LIMIT));
}

static void on_doctype(void *context, const char *name, const char *system_id,
                       const char *public_id, int has_internal_subset)
{
    struct reader *reader = context;

    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    conclude(reader,
             rc_fail(reader->err, RC_CORRUPT,
                     "the XML declares the document type '%.60s', which no answer should", name));
}

static enum rc_code parse(struct reader *reader, const char *data, size_t len)
{
    do {
        size_t piece = len < PIECE ? len : PIECE;

        if (loaded.parse(reader->parser, data, (int)piece, piece == len) != XML_STATUS_OK)
            break;
        data += piece;
        len -= piece;
        if (len == 0)
            return RC_OK;
    } while (true);
    if (reader->stopped)
        return reader->stopped;
    return rc_fail(reader->err, RC_CORRUPT, "the XML is not well-formed: line %lu: %s",
                   (unsigned long)loaded.line(reader->parser),
                   loaded.error_string(loaded.error_code(reader->parser)));
}

enum rc_code core_xml_read(const char *data, size_t len, const struct core_xml_events *events,
                           struct rc_error *err)
{
    struct reader reader = {
        .events = events,
        .path = RC_BUF_INIT(PATH_LIMIT),
        .text = RC_BUF_INIT(TEXT_LIMIT),
        .err = err,
    };
    enum rc_code code;

    if (load(err))
        return err->code;
    reader.parser = loaded.create("UTF-8");
    if (!reader.parser)
        rc_out_of_memory(sizeof(reader));
    loaded.set_user_data(reader.parser, &reader);
    loaded.set_element_handler(reader.parser, on_begin, on_end);
    loaded.set_text_handler(reader.parser, on_text);
    loaded.set_doctype_handler(reader.parser, on_doctype);
    code = parse(&reader, data, len);
    loaded.free(reader.parser);
    rc_buf_clear(&reader.path);
    rc_buf_clear(&reader.text);
    return code;
}
