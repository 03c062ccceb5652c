/*
 * Reads Avro's JSON by its schema: unions name the type of their value, records have all their
 * fields.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "avro_json.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

static void check(json_t *schemas, json_t *type, json_t *value, const char *where);

json_t *avro_schemas(const char *name)
{
    RC_STR_AUTO path = rc_strf("%s/tests/data/%s", getenv("RUN_CORE_SOURCE"), name);
    json_t *schemas = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_array(schemas))
        fail_msg("'%s' has no schemas", path);
    return schemas;
}

static json_t *find_record(json_t *schemas, const char *name)
{
    size_t i;
    json_t *schema;

    json_array_foreach(schemas, i,
                       schema) if (strcmp(json_string_value(json_object_get(schema, "name")),
                                          name) == 0) return schema;
    return NULL;
}

static const char *name_of(json_t *type)
{
    if (json_is_string(type))
        return json_string_value(type);
    type = json_object_get(type, json_object_get(type, "name") ? "name" : "type");
    return json_string_value(type);
}

/* null stands for itself, any other value as the only member of an object, by its type's name. */
static void check_union(json_t *schemas, json_t *types, json_t *value, const char *where)
{
    const char *said = json_is_null(value) ? "null" : json_object_iter_key(json_object_iter(value));
    size_t i;
    json_t *type;

    if (!said || (!json_is_null(value) && json_object_size(value) != 1))
        fail_msg("%s: no value of a union", where);
    json_array_foreach(types, i, type) if (strcmp(name_of(type), said) == 0)
    {
        if (!json_is_null(value))
            check(schemas, type, json_object_get(value, said), where);
        return;
    }
    fail_msg("%s: the union has no '%s'", where, said);
}

static void check_record(json_t *schemas, json_t *schema, json_t *value, const char *where)
{
    json_t *fields = json_object_get(schema, "fields"), *field;
    size_t i;

    if (!json_is_object(value) || json_object_size(value) != json_array_size(fields))
        fail_msg("%s: not the fields of the record", where);
    json_array_foreach(fields, i, field)
    {
        const char *name = json_string_value(json_object_get(field, "name"));
        RC_STR_AUTO path = rc_strf("%s.%s", where, name);
        json_t *member = json_object_get(value, name);

        if (!member)
            fail_msg("%s: missing", path);
        check(schemas, json_object_get(field, "type"), member, path);
    }
}

static void check(json_t *schemas, json_t *type, json_t *value, const char *where)
{
    const char *name = json_is_array(type) ? "union" : name_of(type);
    json_t *record = find_record(schemas, name);

    if (json_is_array(type))
        check_union(schemas, type, value, where);
    else if (record || json_object_get(type, "fields"))
        check_record(schemas, record ? record : type, value, where);
    else if (strcmp(name, "array") == 0 && !json_is_array(value))
        fail_msg("%s: no array", where);
    else if (strcmp(name, "string") == 0 && !json_is_string(value))
        fail_msg("%s: no string", where);
    else if ((strcmp(name, "long") == 0 || strcmp(name, "int") == 0) && !json_is_integer(value))
        fail_msg("%s: no integer", where);
}

json_t *avro_expect_record(json_t *schemas, const char *name, const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    json_t *schema = find_record(schemas, name);

    assert_non_null(schema);
    if (!value)
        fail_msg("%s: %s", text, error.text);
    check_record(schemas, schema, value, name);
    return value;
}
