/*
 * Matches paths against templates, part by part.
 */
#include <base/path_template.h>

#include <string.h>

/* The next part behind a '/'; false at the end. */
static bool next_part(const char **at, const char **part, size_t *len)
{
    if (**at != '/')
        return false;
    *part = *at + 1;
    *len = strcspn(*part, "/");
    *at = *part + *len;
    return true;
}

static bool is_name(const char *part, size_t len)
{
    return len > 2 && part[0] == '{' && part[len - 1] == '}';
}

/* A {name*}, behind which nothing follows. */
static bool is_rest(const char *part, size_t len)
{
    return is_name(part, len) && len > 3 && part[len - 2] == '*' && part[len] == '\0';
}

static bool has_name(const struct core_path_values *values, const char *name, size_t len)
{
    for (size_t i = 0; i < values->count; i++)
        if (values->items[i].name_len == len && memcmp(values->items[i].name, name, len) == 0)
            return true;
    return false;
}

bool core_path_template_is_good(const char *path_template)
{
    struct core_path_values names = { .count = 0 };
    const char *part;
    size_t len;

    if (path_template[0] != '/')
        return false;
    while (next_part(&path_template, &part, &len)) {
        if (!is_name(part, len)) {
            if (memchr(part, '{', len) || memchr(part, '}', len))
                return false;
            continue;
        }
        size_t name_len = len - (is_rest(part, len) ? 3 : 2);

        if (names.count == CORE_PATH_VALUES || has_name(&names, part + 1, name_len) ||
            memchr(part + 1, '{', name_len) || memchr(part + 1, '}', name_len) ||
            memchr(part + 1, '*', name_len))
            return false;
        names.items[names.count++] =
            (struct core_path_value){ .name = part + 1, .name_len = name_len };
    }
    return true;
}

bool core_path_match(const char *path_template, const char *path, struct core_path_values *out)
{
    const char *wanted, *given;
    size_t wanted_len, given_len;

    out->count = 0;
    while (next_part(&path_template, &wanted, &wanted_len)) {
        if (!next_part(&path, &given, &given_len))
            return false;
        if (is_rest(wanted, wanted_len) && out->count < CORE_PATH_VALUES) {
            out->items[out->count++] =
                (struct core_path_value){ wanted + 1, given, wanted_len - 3, strlen(given) };
            return true;
        }
        if (!is_name(wanted, wanted_len)) {
            if (wanted_len != given_len || memcmp(wanted, given, given_len) != 0)
                return false;
        } else if (given_len == 0 || out->count == CORE_PATH_VALUES) {
            return false;
        } else {
            out->items[out->count++] =
                (struct core_path_value){ wanted + 1, given, wanted_len - 2, given_len };
        }
    }
    return *path_template == '\0' && *path == '\0';
}

bool core_path_goes_before(const char *a, const char *b)
{
    const char *part_a, *part_b;
    size_t len_a, len_b;

    while (next_part(&a, &part_a, &len_a) && next_part(&b, &part_b, &len_b)) {
        bool name_a = is_name(part_a, len_a), name_b = is_name(part_b, len_b);

        if (name_a != name_b)
            return name_b;
        if (is_rest(part_a, len_a) != is_rest(part_b, len_b))
            return is_rest(part_b, len_b);
    }
    return false;
}
