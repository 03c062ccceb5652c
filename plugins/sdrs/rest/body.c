/*
 * Bodies: JSON that is held against a table of properties, with the older system's words for what
 * does not fit. What the values mean is up to the handlers.
 */
#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SHOWN_BYTES = RC_ERROR_TEXT / 3, CHOICES_BYTES = RC_ERROR_TEXT };

/* ---- reading --------------------------------------------------------------------------------- */

/* "application/json", with whatever parameters; nothing said is as good. */
static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    size_t len = type ? strcspn(type, "; \t") : 0;

    return !type || (len == sizeof(json) - 1 && strncasecmp(type, json, len) == 0);
}

enum rc_code sdrs_read_json(struct sdrs_request *request, json_type type, json_t **out,
                            struct rc_error *err)
{
    const char *media_type = rc_exchange_header(request->job, request->exchange, "Content-Type");
    json_error_t mistake;
    const char *body;
    size_t len;

    *out = NULL;
    if (!is_json(media_type))
        return rc_fail(err, RC_UNSUPPORTED, "Content-Type has to be application/json, not '%s'",
                       media_type);
    body = rc_exchange_body(request->job, request->exchange, &len);
    if (len > SDRS_TEXT_LIMIT)
        return rc_fail(err, RC_TOO_LARGE, "The body has more than %d bytes", SDRS_TEXT_LIMIT);
    *out = json_loadb(len ? body : "", len, JSON_REJECT_DUPLICATES, &mistake);
    if (*out && json_typeof(*out) == type)
        return RC_OK;
    json_decref(*out);
    *out = NULL;
    return rc_fail(err, RC_INVALID, "Unable to read JSON input");
}

enum rc_code sdrs_read_body(struct sdrs_request *request, const struct sdrs_property *properties,
                            void *out, json_t **held, struct rc_error *err)
{
    if (sdrs_read_json(request, JSON_OBJECT, held, err))
        return err->code;
    if (!sdrs_read_object(*held, properties, out, err))
        return RC_OK;
    json_decref(*held);
    *held = NULL;
    return err->code;
}

/* ---- values ---------------------------------------------------------------------------------- */

/*
 * A text for people, of which so much is shown that the message around it has room. A character
 * that is cut is no harm: what is no UTF-8 is replaced wherever messages go out.
 */
static char *shorten(const char *text)
{
    return rc_strf("%.*s%s", SHOWN_BYTES, text, strlen(text) > SHOWN_BYTES ? "..." : "");
}

/* The value, a text without quotes, as the older system did. */
static char *show_value(const json_t *value)
{
    char *text = json_is_string(value) ? rc_strdup(json_string_value(value))
                                       : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    char *shown = shorten(text ? text : "");

    free(text);
    return shown;
}

static enum rc_code refuse_value(const json_t *value, const struct sdrs_property *property,
                                 struct rc_error *err)
{
    RC_STR_AUTO shown = show_value(value);
    RC_BUF_AUTO(choices, CHOICES_BYTES);

    if (property->type != SDRS_CHOICE)
        return rc_fail(err, RC_INVALID, "'%s' doesn't match expected type", shown);
    for (const char *const *choice = property->choices; *choice; choice++)
        rc_buf_addf(&choices, "%s%s", choice == property->choices ? "" : ", ", *choice);
    return rc_fail(err, RC_INVALID, "Expected '%s' to be one of [%s]", shown, choices.data);
}

static bool is_choice(const char *text, const char *const *choices)
{
    for (; *choices; choices++)
        if (strcmp(text, *choices) == 0)
            return true;
    return false;
}

/* Clients of the older system may send a number as text. */
static bool read_integer(const json_t *value, int64_t *out)
{
    if (json_is_string(value))
        return rc_parse_int(json_string_value(value), out);
    *out = json_integer_value(value);
    return json_is_integer(value);
}

static bool read_value(const json_t *value, const struct sdrs_property *property, void *out)
{
    const char *text = json_string_value(value);
    char *base = out;
    int64_t integer;

    if (property->type == SDRS_INTEGER) {
        if (!read_integer(value, &integer))
            return false;
        memcpy(base + property->offset, &integer, sizeof(integer));
        memcpy(base + property->given_offset, &(bool){ true }, sizeof(bool));
        return true;
    }
    if (!text || (property->type == SDRS_CHOICE && !is_choice(text, property->choices)))
        return false;
    memcpy(base + property->offset, &text, sizeof(text));
    return true;
}

static const struct sdrs_property *find_property(const struct sdrs_property *properties,
                                                 const char *name)
{
    for (; properties->name; properties++)
        if (strcmp(properties->name, name) == 0)
            return properties;
    return NULL;
}

enum rc_code sdrs_read_object(json_t *object, const struct sdrs_property *properties, void *out,
                              struct rc_error *err)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object))
        return rc_fail(err, RC_INVALID, "Unable to read JSON input");
    json_object_foreach(object, name, value)
    {
        const struct sdrs_property *property = find_property(properties, name);

        if (!property) {
            RC_STR_AUTO shown = shorten(name);

            return rc_fail(err, RC_INVALID, "'%s' is not an expected object property", shown);
        }
        if (!json_is_null(value) && !read_value(value, property, out))
            return refuse_value(value, property, err);
    }
    return RC_OK;
}
