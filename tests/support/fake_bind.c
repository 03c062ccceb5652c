/*
 * Fills a configuration struct by an option table from "key=value" texts: what the core does
 * from YAML, without the core. Everything it allocates belongs to the host.
 */
#include "fake_internal.h"

#include <run-core/str.h>

#include <limits.h>
#include <math.h>
#include <stdlib.h>

/* A setting taken apart; 'value' is borrowed from the setting. */
struct setting {
    const char *key;
    size_t key_len;
    const char *value;
};

struct binding {
    struct rc_fake_host *fake;
    const struct rc_option *options;
    char *out;
    const struct setting *settings;
    size_t count;
};

static enum rc_code bind_table(struct binding *binding, struct rc_error *err);

static bool key_is(const struct setting *setting, const struct rc_option *option)
{
    return (strlen(option->name) == setting->key_len &&
            strncmp(setting->key, option->name, setting->key_len) == 0) ||
           (option->also && strlen(option->also) == setting->key_len &&
            strncmp(setting->key, option->also, setting->key_len) == 0);
}

/* The rest of the key behind "name" and 'separator', or NULL. */
static const char *key_below(const struct setting *setting, const struct rc_option *option,
                             char separator)
{
    size_t len = strlen(option->name);
    if (setting->key_len > len && strncmp(setting->key, option->name, len) == 0 &&
        setting->key[len] == separator)
        return setting->key + len + 1;
    return NULL;
}

/* ---- scalars ------------------------------------------------------------------------------ */

static bool in_range(const struct rc_option *option, double value)
{
    return (option->min == 0 && option->max == 0) ||
           (value >= (double)option->min && value <= (double)option->max);
}

static bool parse_integer(const struct rc_option *option, const char *text, int64_t *out)
{
    switch (option->type) {
    case RC_OPT_MS:
        return rc_parse_duration(text, out);
    case RC_OPT_BYTES:
        return rc_parse_size(text, out);
    default:
        return rc_parse_int(text, out);
    }
}

static bool parse_choice(const struct rc_option *option, const char *text, int *out)
{
    for (int i = 0; option->choices[i]; i++)
        if (strcmp(option->choices[i], text) == 0) {
            *out = i;
            return true;
        }
    return false;
}

static bool store_scalar(struct rc_fake_host *fake, const struct rc_option *option, char *field,
                         const char *text)
{
    int64_t integer;
    double number;
    const char *copy;
    switch (option->type) {
    case RC_OPT_URL:
        if (!rc_uri_has_scheme(text))
            return false;
        /* fall through */
    case RC_OPT_STR:
        copy = fake_own(fake, rc_strdup(text));
        memcpy(field, &copy, sizeof copy);
        return true;
    case RC_OPT_BOOL:
        return rc_parse_bool(text, (bool *)(void *)field);
    case RC_OPT_INT:
    case RC_OPT_MS:
    case RC_OPT_BYTES:
        if (!parse_integer(option, text, &integer) || !in_range(option, (double)integer))
            return false;
        memcpy(field, &integer, sizeof integer);
        return true;
    case RC_OPT_FLOAT:
        if (!rc_parse_float(text, &number) || !in_range(option, number))
            return false;
        memcpy(field, &number, sizeof number);
        return true;
    case RC_OPT_ENUM:
        return parse_choice(option, text, (int *)(void *)field);
    case RC_OPT_DAY:
        return rc_parse_day(text, (int32_t *)(void *)field);
    case RC_OPT_LIST:
    case RC_OPT_MAP:
    case RC_OPT_OBJECTS:
        break;
    }
    return false;
}

/* ---- lists, maps, objects ----------------------------------------------------------------- */

/* The items of "[a, b]" or "{k: v}" without their brackets, or the text itself as the only one. */
static char **split_flow(struct rc_fake_host *fake, const char *text, char open, size_t *count)
{
    char **items = NULL;
    *count = 0;
    size_t len = strlen(text);
    bool flow = len >= 2 && text[0] == open;
    const char *at = flow ? text + 1 : text, *end = flow ? text + len - 1 : text + len;
    while (at < end) {
        const char *comma = flow ? memchr(at, ',', (size_t)(end - at)) : NULL;
        const char *stop = comma ? comma : end;
        const char *next = comma ? comma + 1 : end;
        while (at < stop && *at == ' ')
            at++;
        while (stop > at && stop[-1] == ' ')
            stop--;
        if (stop - at >= 2 && (*at == '"' || *at == '\'') && stop[-1] == *at) {
            at++;
            stop--;
        }
        items = fake_grow(items, count, sizeof *items);
        items[*count - 1] = fake_own(fake, rc_strndup(at, (size_t)(stop - at)));
        at = next;
    }
    if (items)
        fake_own(fake, items);
    return items;
}

static void bind_list(struct binding *binding, const struct rc_option *option, struct rc_strs *out)
{
    const char **items = NULL;
    size_t count = 0, given = 0;
    for (size_t i = 0; i <= binding->count; i++) {
        const char *text = NULL;
        if (i < binding->count && key_is(&binding->settings[i], option))
            text = binding->settings[i].value;
        else if (i == binding->count && given == 0)
            text = option->def;
        if (!text)
            continue;
        given++;
        size_t parts;
        char **part = split_flow(binding->fake, text, '[', &parts);
        for (size_t k = 0; k < parts; k++) {
            items = fake_grow(items, &count, sizeof *items);
            items[count - 1] = part[k];
        }
    }
    if (items)
        fake_own(binding->fake, items);
    *out = (struct rc_strs){ .len = count, .items = items };
}

static void bind_map(struct binding *binding, const struct rc_option *option, struct rc_map *out)
{
    struct rc_pair *pairs = NULL;
    size_t count = 0;
    for (size_t i = 0; i < binding->count; i++) {
        const struct setting *setting = &binding->settings[i];
        const char *name = key_below(setting, option, '.');
        if (!name)
            continue;
        size_t len = setting->key_len - (size_t)(name - setting->key);
        pairs = fake_grow(pairs, &count, sizeof *pairs);
        pairs[count - 1].key = fake_own(binding->fake, rc_strndup(name, len));
        pairs[count - 1].value = fake_own(binding->fake, rc_strdup(setting->value));
    }
    if (count == 0 && option->def) {
        size_t parts;
        char **part = split_flow(binding->fake, option->def, '{', &parts);
        for (size_t i = 0; i < parts; i++) {
            char *colon = strchr(part[i], ':');
            RC_ASSERT(colon != NULL);
            *colon = '\0';
            pairs = fake_grow(pairs, &count, sizeof *pairs);
            pairs[count - 1].key = part[i];
            pairs[count - 1].value = colon + 1 + strspn(colon + 1, " ");
        }
    }
    if (pairs)
        fake_own(binding->fake, pairs);
    *out = (struct rc_map){ .len = count, .items = pairs };
}

/* Splits "name[3].key=value" for the option; false when the setting is another's. */
static bool object_setting(const struct setting *setting, const struct rc_option *option,
                           size_t *index, struct setting *inner)
{
    const char *rest = key_below(setting, option, '[');
    if (!rest)
        return false;
    char *end;
    unsigned long number = strtoul(rest, &end, 10);
    if (end == rest || end[0] != ']' || end[1] != '.' || number > 999)
        return false;
    *index = number;
    inner->key = end + 2;
    inner->key_len = setting->key_len - (size_t)(inner->key - setting->key);
    inner->value = setting->value;
    return true;
}

static enum rc_code bind_objects(struct binding *binding, const struct rc_option *option,
                                 struct rc_objects *out, struct rc_error *err)
{
    struct setting inner;
    size_t index, len = 0;
    for (size_t i = 0; i < binding->count; i++)
        if (object_setting(&binding->settings[i], option, &index, &inner) && index >= len)
            len = index + 1;
    if (len == 0)
        return RC_OK;

    char *items = fake_own(binding->fake, rc_calloc(len, option->item_size));
    struct setting *own = rc_calloc(binding->count, sizeof *own);
    enum rc_code code = RC_OK;
    for (size_t item = 0; !code && item < len; item++) {
        size_t count = 0;
        for (size_t i = 0; i < binding->count; i++)
            if (object_setting(&binding->settings[i], option, &index, &inner) && index == item)
                own[count++] = inner;
        struct binding below = {
            .fake = binding->fake,
            .options = option->items,
            .out = items + item * option->item_size,
            .settings = own,
            .count = count,
        };
        code = bind_table(&below, err);
        if (code)
            code = rc_context(err, "%s[%zu]", option->name, item);
    }
    free(own);
    *out = (struct rc_objects){ .len = len, .items = items };
    return code;
}

/* ---- the table ---------------------------------------------------------------------------- */

static enum rc_code bind_scalar(struct binding *binding, const struct rc_option *option,
                                char *field, struct rc_error *err)
{
    const char *text = option->def;
    for (size_t i = 0; i < binding->count; i++)
        if (key_is(&binding->settings[i], option))
            text = binding->settings[i].value;
    if ((option->flags & RC_OPT_REQUIRED) && (!text || text[0] == '\0'))
        return rc_fail(err, RC_INVALID, "option '%s' is required", option->name);
    if (!text && option->type == RC_OPT_DAY)
        memcpy(field, &(int32_t){ RC_DAY_NONE }, sizeof(int32_t));
    if (text && !store_scalar(binding->fake, option, field, text))
        return rc_fail(err, RC_INVALID, "option '%s' cannot be '%s'", option->name,
                       option->flags & RC_OPT_SECRET ? "(secret)" : text);
    return RC_OK;
}

static enum rc_code bind_option(struct binding *binding, const struct rc_option *option,
                                struct rc_error *err)
{
    char *field = binding->out + option->offset;
    size_t len;
    switch (option->type) {
    case RC_OPT_LIST:
        bind_list(binding, option, (struct rc_strs *)(void *)field);
        len = ((struct rc_strs *)(void *)field)->len;
        break;
    case RC_OPT_MAP:
        bind_map(binding, option, (struct rc_map *)(void *)field);
        len = ((struct rc_map *)(void *)field)->len;
        break;
    case RC_OPT_OBJECTS:
        if (bind_objects(binding, option, (struct rc_objects *)(void *)field, err))
            return err->code;
        len = ((struct rc_objects *)(void *)field)->len;
        break;
    default:
        return bind_scalar(binding, option, field, err);
    }
    if ((option->flags & RC_OPT_REQUIRED) && len == 0)
        return rc_fail(err, RC_INVALID, "option '%s' is required", option->name);
    return RC_OK;
}

static bool is_known(const struct rc_option *options, const struct setting *setting)
{
    struct setting inner;
    size_t index;
    for (const struct rc_option *option = options; option->name; option++)
        if (key_is(setting, option) ||
            (option->type == RC_OPT_MAP && key_below(setting, option, '.')) ||
            (option->type == RC_OPT_OBJECTS && object_setting(setting, option, &index, &inner)))
            return true;
    return false;
}

static enum rc_code bind_table(struct binding *binding, struct rc_error *err)
{
    for (size_t i = 0; i < binding->count; i++)
        if (!is_known(binding->options, &binding->settings[i]))
            return rc_fail(err, RC_INVALID, "there is no option '%.*s'",
                           (int)binding->settings[i].key_len, binding->settings[i].key);
    for (const struct rc_option *option = binding->options; option->name; option++)
        if (bind_option(binding, option, err))
            return err->code;
    return RC_OK;
}

enum rc_code rc_fake_host_bind(struct rc_fake_host *host, const struct rc_option *options,
                               void *out, const char *const *settings, struct rc_error *err)
{
    struct setting *split = NULL;
    size_t count = 0;
    for (size_t i = 0; settings && settings[i]; i++) {
        const char *equals = strchr(settings[i], '=');
        RC_ASSERT(equals != NULL);
        split = fake_grow(split, &count, sizeof *split);
        split[count - 1] = (struct setting){
            .key = settings[i],
            .key_len = (size_t)(equals - settings[i]),
            .value = equals + 1,
        };
    }
    struct binding binding = {
        .fake = host,
        .options = options,
        .out = out,
        .settings = split,
        .count = count,
    };
    enum rc_code code = bind_table(&binding, err);
    free(split);
    return code;
}
