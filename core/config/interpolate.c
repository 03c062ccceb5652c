/*
 * Resolves ${env:NAME}, ${file:PATH} and ${each:KEY} in a value. What comes out is text and stays
 * text: neither YAML nor another ${...} in it is looked for. Whose item a key is of, is decided
 * in each.c.
 */
#include <config/interpolate.h>

#include <config/reader.h>
#include <config/secrets.h>

#include <os/file.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { RESULT_BYTES = CORE_YAML_MAX_BYTES, PATH_BYTES = 16384, DEEPEST_DEFAULT = 8 };

static const char forms[] = "write ${env:NAME}, ${env:NAME:-default} or ${file:PATH}, and $${ for "
                            "a '${' that stands for itself";

/* A value whose references are being resolved. */
struct resolving {
    const struct core_reader *reader;
    struct core_node *node;
    struct rc_buf *out;
    int depth;                    /* of defaults */
    bool is_one;                  /* so far nothing stands beside a reference */
    const struct core_node *from; /* the value of the item that was taken last; or NULL */
};

static bool resolve(struct resolving *r, const char *text);

/* ---- walking --------------------------------------------------------------------------------- */

static const struct {
    const char *prefix;
    enum core_reference_kind kind;
} kinds[] = {
    { "env:", CORE_REFERENCE_ENV },
    { "file:", CORE_REFERENCE_FILE },
    { "each:", CORE_REFERENCE_EACH },
};

/* What kind of reference the text behind "${" is of; '*name' is what stands behind the prefix. */
static enum core_reference_kind kind_of(const char *body, const char **name)
{
    *name = body;
    for (size_t i = 0; i < RC_ARRAY_LEN(kinds); i++)
        if (rc_str_starts(body, kinds[i].prefix)) {
            *name = body + strlen(kinds[i].prefix);
            return kinds[i].kind;
        }
    return CORE_REFERENCE_UNKNOWN;
}

bool core_references_next(struct core_references *walk, struct core_reference *out)
{
    for (; *walk->at; walk->at++) {
        if (rc_str_starts(walk->at, "$${")) {
            walk->at += 2;
        } else if (*walk->at == '}' && walk->depth > 0) {
            walk->depth--;
        } else if (rc_str_starts(walk->at, "${")) {
            out->kind = kind_of(walk->at + 2, &out->name);
            walk->at = out->name;
            while (*walk->at && *walk->at != '}' && !rc_str_starts(walk->at, ":-") &&
                   !rc_str_starts(walk->at, "${"))
                walk->at++;
            out->name_len = (size_t)(walk->at - out->name);
            out->has_default = *walk->at == ':';
            out->is_nested = walk->depth++ > 0;
            return true;
        }
    }
    return false;
}

/* The '}' of the reference whose body begins at 'text'; or NULL. */
static const char *reference_end(const char *text)
{
    int depth = 0;

    for (; *text; text++) {
        if (rc_str_starts(text, "$${"))
            text += 2;
        else if (rc_str_starts(text, "${"))
            depth++;
        else if (*text == '}' && depth-- == 0)
            return text;
    }
    return NULL;
}

static bool names_item(const char *text)
{
    struct core_references walk = { text, 0 };
    struct core_reference reference;

    while (core_references_next(&walk, &reference))
        if (reference.kind == CORE_REFERENCE_EACH)
            return true;
    return false;
}

/* ---- defaults -------------------------------------------------------------------------------- */

/* Cuts 'body' in two at ":-"; returns what stands behind it, or NULL. */
static const char *cut_default(char *body)
{
    char *def = strstr(body, ":-");

    if (!def)
        return NULL;
    *def = '\0';
    return def + 2;
}

static bool add_default(struct resolving *r, const char *def)
{
    bool done;

    if (r->depth == DEEPEST_DEFAULT) {
        core_reader_problem(
            r->reader, &r->node->place,
            "the defaults of '${...}' are nested too deeply; %d levels are the most",
            DEEPEST_DEFAULT);
        return false;
    }
    r->depth++;
    done = resolve(r, def);
    r->depth--;
    return done;
}

/* ---- variables ------------------------------------------------------------------------------- */

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

/* 'body' is what stands behind "env:". */
static bool add_variable(struct resolving *r, char *body)
{
    const struct core_reader *reader = r->reader;
    const char *def = cut_default(body);
    char shown[CORE_SHOWN_TEXT];
    const char *value;

    if (!is_variable_name(body)) {
        core_reader_problem(reader, &r->node->place,
                            "'%s' is not the name of an environment variable; %s",
                            core_shown(body, shown), forms);
        return false;
    }
    value = reader->elsewhere ? NULL : getenv(body);
    if (def && (!value || !*value))
        return add_default(r, def);
    if (!value && reader->elsewhere) {
        r->node->broken = true;
        return true;
    }
    if (!value) {
        core_reader_problem(reader, &r->node->place,
                            "the environment variable '%s' is not set; set it, or give a default "
                            "with ${env:%s:-default}",
                            core_shown(body, shown), shown);
        return false;
    }
    rc_buf_adds(r->out, value);
    return true;
}

/* ---- files ----------------------------------------------------------------------------------- */

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

/* 'path' is what stands behind "file:". */
static bool add_file(struct resolving *r, const char *path)
{
    const struct core_reader *reader = r->reader;
    RC_BUF_AUTO(full, PATH_BYTES);
    RC_BUF_AUTO(name, PATH_BYTES);
    RC_BUF_AUTO(content, CORE_YAML_MAX_SECRET_BYTES);
    const char *slash = reader->directory ? strrchr(reader->file, '/') : NULL;
    char shown[CORE_SHOWN_TEXT];
    size_t len;

    if (!*path) {
        core_reader_problem(reader, &r->node->place, "'${file:}' names no file; %s", forms);
        return false;
    }
    if (reader->elsewhere) {
        r->node->broken = true;
        return true;
    }
    add_path(&full, reader->directory, reader->directory ? strlen(reader->directory) : 0, path);
    add_path(&name, reader->file, slash ? (size_t)(slash - reader->file) : 0, path);
    if (!read_secret(reader, r->node, full.data, core_shown(name.data, shown), &content))
        return false;
    len = content.len;
    if (len > 0 && content.data[len - 1] == '\n')
        len--;
    if (len > 0 && content.data[len - 1] == '\r')
        len--;
    rc_buf_truncate(&content, len);
    core_secret_add(content.data);
    r->node->secret = true;
    rc_buf_adds(r->out, content.data);
    return true;
}

/* ---- items ----------------------------------------------------------------------------------- */

static void report_lack(const struct resolving *r, const char *key)
{
    const struct core_node *item = r->reader->item;
    const char *name = core_node_text(item, "name");
    char shown[CORE_SHOWN_TEXT];

    if (!item->place.file)
        core_reader_problem(r->reader, &r->node->place,
                            "'${each:%s}' has no value, as there is no list; give a default with "
                            "${each:%s:-default}",
                            key, key);
    else
        core_reader_problem(r->reader, &r->node->place,
                            "'${each:%s}' has no value: the item%s%s%s at %s:%d:%d has no such "
                            "key; add it, or give a default with ${each:%s:-default}",
                            key, name ? " '" : "", name ? core_shown(name, shown) : "",
                            name ? "'" : "", item->place.file, item->place.line, item->place.column,
                            key);
}

/* 'body' is what stands behind "each:". */
static bool add_item_value(struct resolving *r, char *body)
{
    const char *def = cut_default(body);
    const struct core_node *value = core_node_get(r->reader->item, body);
    char shown[CORE_SHOWN_TEXT];

    if (!*body) {
        core_reader_problem(r->reader, &r->node->place,
                            "'${each:}' names no key; write ${each:KEY} or ${each:KEY:-default}");
        return false;
    }
    core_shown(body, shown);
    if (value && value->broken) { /* which was reported, or is known elsewhere alone */
        r->node->broken = true;
        return true;
    }
    if (value && (value->kind == CORE_NODE_LIST || value->kind == CORE_NODE_MAP)) {
        core_reader_problem(r->reader, &r->node->place,
                            "'${each:%s}' is %s at %s:%d:%d; only a single value can stand within "
                            "another",
                            shown, value->kind == CORE_NODE_LIST ? "a list" : "a map",
                            value->place.file, value->place.line, value->place.column);
        return false;
    }
    if (value && value->kind == CORE_NODE_SCALAR && (*value->text || !def)) {
        rc_buf_adds(r->out, value->text);
        r->node->secret = r->node->secret || value->secret;
        r->from = value;
        return true;
    }
    if (def)
        return add_default(r, def);
    report_lack(r, shown);
    return false;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* 'body' is what stands between the braces. */
static bool add_resolved(struct resolving *r, char *body)
{
    const char *def = strstr(body, ":-"), *inner = strstr(body, "${"), *name;
    enum core_reference_kind kind = kind_of(body, &name);
    char shown[CORE_SHOWN_TEXT];

    if (inner && (!def || inner < def || kind == CORE_REFERENCE_FILE)) {
        core_reader_problem(r->reader, &r->node->place,
                            "a '${...}' cannot stand within another, but in its default");
        return false;
    }
    switch (kind) {
    case CORE_REFERENCE_ENV:
        return add_variable(r, body + (name - body));
    case CORE_REFERENCE_FILE:
        return add_file(r, name);
    case CORE_REFERENCE_EACH:
        return add_item_value(r, body + (name - body));
    case CORE_REFERENCE_UNKNOWN:
        break;
    }
    core_reader_problem(r->reader, &r->node->place, "unknown '${%s}'; %s", core_shown(body, shown),
                        forms);
    return false;
}

static bool resolve(struct resolving *r, const char *text)
{
    const char *begin = text;

    while (*text) {
        size_t plain = strcspn(text, "$");
        RC_STR_AUTO body = NULL;
        const char *end;

        if (plain > 0) {
            rc_buf_add(r->out, text, plain);
            text += plain;
            continue;
        }
        if (rc_str_starts(text, "$${")) {
            rc_buf_adds(r->out, "${");
            text += 3;
            continue;
        }
        if (!rc_str_starts(text, "${")) {
            rc_buf_addc(r->out, *text++);
            continue;
        }
        end = reference_end(text + 2);
        if (!end) {
            core_reader_problem(r->reader, &r->node->place, "a '${' has no '}'; %s", forms);
            return false;
        }
        r->is_one = r->is_one && text == begin && !end[1];
        body = rc_strndup(text + 2, (size_t)(end - text - 2));
        if (!add_resolved(r, body))
            return false;
        text = end + 1;
    }
    return true;
}

/* Whether the value names an item that is not known here: it waits for it, or is a mistake. */
static bool lacks_item(const struct core_reader *reader, struct core_node *node)
{
    if (reader->item || !names_item(node->text))
        return false;
    node->each = reader->each_waits;
    node->broken = !reader->each_waits;
    if (node->broken)
        core_reader_problem(reader, &node->place,
                            "'${each:...}' can stand only in the other values of a job with "
                            "'for_each' or 'for_each_file'; write $${ for a '${' that stands for "
                            "itself");
    return true;
}

void core_interpolate(const struct core_reader *reader, struct core_node *node)
{
    RC_BUF_AUTO(out, RESULT_BYTES);
    struct resolving r = { .reader = reader, .node = node, .out = &out, .is_one = true };

    if (!strstr(node->text, "${") || lacks_item(reader, node))
        return;
    if (!resolve(&r, node->text)) {
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
    if (r.from && r.is_one)
        node->place = r.from->place; /* where its mistakes and relative paths are the item's */
    node->text = core_arena_strndup(reader->arena, out.data, out.len);
    node->quoted = true; /* text from outside is never taken for null */
}
