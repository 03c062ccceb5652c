/*
 * Resolves ${env:NAME}, ${env:NAME:-default} and ${file:PATH} in a value. What comes
 * out is text and stays text: neither YAML nor another ${...} in it is looked for.
 */
#include <config/reader.h>
#include <config/secrets.h>

#include <os/file.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { RESULT_BYTES = CORE_YAML_MAX_BYTES, PATH_BYTES = 16384 };

static const char forms[] = "write ${env:NAME}, ${env:NAME:-default} or ${file:PATH}, and $${ for "
                            "a '${' that stands for itself";

static bool is_variable_name(const char *name)
{
    if (!(name[0] == '_' || (name[0] >= 'A' && name[0] <= 'Z') ||
          (name[0] >= 'a' && name[0] <= 'z')))
        return false;
    for (; *name; name++)
        if (!(*name == '_' || (*name >= 'A' && *name <= 'Z') || (*name >= 'a' && *name <= 'z') ||
              (*name >= '0' && *name <= '9')))
            return false;
    return true;
}

/* 'body' is what stands behind "env:" and is cut in two at ":-". */
static bool add_variable(const struct core_reader *reader, struct core_node *node, char *body,
                         struct rc_buf *out)
{
    char *def = strstr(body, ":-");
    char shown[CORE_SHOWN_TEXT];
    const char *value;

    if (def) {
        *def = '\0';
        def += 2;
    }
    if (!is_variable_name(body)) {
        core_reader_problem(reader, &node->place,
                            "'%s' is not the name of an environment variable; %s",
                            core_shown(body, shown), forms);
        return false;
    }
    value = reader->elsewhere ? NULL : getenv(body);
    if (def && (!value || !*value))
        value = def;
    if (!value && reader->elsewhere) {
        node->broken = true;
        return true;
    }
    if (!value) {
        core_reader_problem(reader, &node->place,
                            "the environment variable '%s' is not set; set it, or give a default "
                            "with ${env:%s:-default}",
                            core_shown(body, shown), shown);
        return false;
    }
    rc_buf_adds(out, value);
    return true;
}

/* 'shown' is the name of the file in messages. */
static bool read_secret(const struct core_reader *reader, const struct core_node *node,
                        const char *path, const char *shown, struct rc_buf *content)
{
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = core_file_read(path, content, &err);

    if (code == RC_TOO_LARGE)
        core_reader_problem(reader, &node->place,
                            "the file '%s' is longer than %d KiB, the most "
                            "that a ${file:...} may hold",
                            shown, CORE_YAML_MAX_SECRET_BYTES / 1024);
    else if (code == RC_NOT_FOUND)
        core_reader_problem(reader, &node->place, "there is no file '%s'", shown);
    else if (code == RC_DENIED)
        core_reader_problem(reader, &node->place, "the file '%s' cannot be read: permission denied",
                            shown);
    else if (code != RC_OK)
        core_reader_problem(reader, &node->place, "the file '%s' cannot be read: %s", shown,
                            err.cause);
    else if (strlen(content->data) != content->len)
        core_reader_problem(reader, &node->place,
                            "the file '%s' holds the character NUL; only "
                            "text can be a value",
                            shown);
    else
        return true;
    return false;
}

/*
 * Relative paths are relative to the file that is being read: in 'directory', called as 'file'
 * says.
 */
static void add_path(struct rc_buf *out, const char *directory, size_t directory_len,
                     const char *path)
{
    if (path[0] != '/' && directory_len > 0) {
        rc_buf_add(out, directory, directory_len);
        rc_buf_addc(out, '/');
    }
    rc_buf_adds(out, path);
}

static bool add_file(const struct core_reader *reader, struct core_node *node, const char *path,
                     struct rc_buf *out)
{
    RC_BUF_AUTO(full, PATH_BYTES);
    RC_BUF_AUTO(name, PATH_BYTES);
    RC_BUF_AUTO(content, CORE_YAML_MAX_SECRET_BYTES);
    const char *slash = reader->directory ? strrchr(reader->file, '/') : NULL;
    char shown[CORE_SHOWN_TEXT];
    size_t len;

    if (!*path) {
        core_reader_problem(reader, &node->place, "'${file:}' names no file; %s", forms);
        return false;
    }
    if (reader->elsewhere) {
        node->broken = true;
        return true;
    }
    add_path(&full, reader->directory, reader->directory ? strlen(reader->directory) : 0, path);
    add_path(&name, reader->file, slash ? (size_t)(slash - reader->file) : 0, path);
    if (!read_secret(reader, node, full.data, core_shown(name.data, shown), &content))
        return false;
    len = content.len;
    if (len > 0 && content.data[len - 1] == '\n')
        len--;
    if (len > 0 && content.data[len - 1] == '\r')
        len--;
    rc_buf_truncate(&content, len);
    core_secret_add(content.data);
    node->secret = true;
    rc_buf_adds(out, content.data);
    return true;
}

/* 'body' is what stands between the braces. */
static bool add_resolved(const struct core_reader *reader, struct core_node *node, char *body,
                         struct rc_buf *out)
{
    char shown[CORE_SHOWN_TEXT];

    if (strstr(body, "${")) {
        core_reader_problem(reader, &node->place, "a '${...}' cannot stand within another");
        return false;
    }
    if (rc_str_starts(body, "env:"))
        return add_variable(reader, node, body + 4, out);
    if (rc_str_starts(body, "file:"))
        return add_file(reader, node, body + 5, out);
    core_reader_problem(reader, &node->place, "unknown '${%s}'; %s", core_shown(body, shown),
                        forms);
    return false;
}

static bool resolve(const struct core_reader *reader, struct core_node *node, struct rc_buf *out)
{
    const char *text = node->text;

    while (*text) {
        RC_STR_AUTO body = NULL;
        const char *end;

        if (rc_str_starts(text, "$${")) {
            rc_buf_adds(out, "${");
            text += 3;
            continue;
        }
        if (!rc_str_starts(text, "${")) {
            rc_buf_addc(out, *text++);
            continue;
        }
        end = strchr(text, '}');
        if (!end) {
            core_reader_problem(reader, &node->place, "a '${' has no '}'; %s", forms);
            return false;
        }
        body = rc_strndup(text + 2, (size_t)(end - text - 2));
        if (!add_resolved(reader, node, body, out))
            return false;
        text = end + 1;
    }
    return true;
}

void core_interpolate(const struct core_reader *reader, struct core_node *node)
{
    RC_BUF_AUTO(out, RESULT_BYTES);

    if (!strstr(node->text, "${"))
        return;
    if (!resolve(reader, node, &out)) {
        node->broken = true;
        return;
    }
    if (node->broken)
        return;
    if (out.overflow) {
        core_reader_problem(reader, &node->place,
                            "the value is too long once its '${...}' are "
                            "resolved");
        node->broken = true;
        return;
    }
    node->text = core_arena_strndup(reader->arena, out.data, out.len);
    node->quoted = true; /* text from outside is never taken for null */
}
