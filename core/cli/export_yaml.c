/*
 * Writes YAML for export.c and its neighbours. A text stands plain only where no reader, of YAML
 * 1.1 or 1.2, could take it for anything else; else in double quotes, as JSON, or as a block.
 */
#include <cli/export_yaml.h>

#include <run-core/str.h>

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum { STEP = 2, TEXT_BYTES = 4 * 1024 * 1024 };

static void start_line(struct core_emitter *emitter)
{
    int indent = emitter->depth * STEP;

    if (emitter->dash)
        rc_buf_addf(emitter->out, "%*s- ", indent - STEP, "");
    else
        rc_buf_addf(emitter->out, "%*s", indent, "");
    emitter->dash = false;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static bool is_word_of_yaml(const char *text)
{
    static const char *const words[] = { "true", "false", "yes", "no",   "on",
                                         "off",  "y",     "n",   "null", NULL };

    for (size_t i = 0; words[i]; i++)
        if (strcasecmp(words[i], text) == 0)
            return true;
    return false;
}

/* Begins like a word or a path, so that it is no number, time or indicator. */
static bool is_plain(const char *text)
{
    if (!isalpha((unsigned char)text[0]) && text[0] != '/')
        return false;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c >= 0x80 || (!isalnum((unsigned char)*c) && !strchr("_./-", *c)))
            return false;
    return !is_word_of_yaml(text);
}

/* What YAML reads as a line break, or not at all, though JSON lets it stand. */
static const struct {
    const char *bytes, *escape;
} special[] = {
    { "\xC2\x85", "\\u0085" },
    { "\xE2\x80\xA8", "\\u2028" },
    { "\xE2\x80\xA9", "\\u2029" },
    { "\xEF\xBB\xBF", "\\ufeff" },
};

static size_t special_at(const char *text)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(special); i++)
        if (rc_str_starts(text, special[i].bytes))
            return i;
    return RC_ARRAY_LEN(special);
}

static void add_quoted(struct rc_buf *out, const char *text)
{
    RC_BUF_AUTO(json, TEXT_BYTES);

    rc_buf_add_json(&json, text, strlen(text));
    if (json.overflow)
        out->overflow = true;
    for (const char *c = json.data; *c; c++) {
        size_t i = special_at(c);

        if (i < RC_ARRAY_LEN(special)) {
            rc_buf_adds(out, special[i].escape);
            c += strlen(special[i].bytes) - 1;
        } else if (*c == 0x7F) {
            rc_buf_adds(out, "\\u007f");
        } else {
            rc_buf_addc(out, *c);
        }
    }
}

static void add_scalar(struct rc_buf *out, const char *text)
{
    if (is_plain(text))
        rc_buf_adds(out, text);
    else
        add_quoted(out, text);
    rc_buf_addc(out, '\n');
}

/* Whether each of its characters can stand in a block, which knows no escapes. */
static bool fits_block(const char *text)
{
    if (text[strspn(text, "\n")] == '\0')
        return false;
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\n' && *text != '\t') || *text == 0x7F ||
            special_at(text) < RC_ARRAY_LEN(special))
            return false;
    return true;
}

/* The lines of 'text', which ends before 'end'. */
static void add_lines(struct core_emitter *emitter, const char *text, const char *end)
{
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t len = (size_t)((line_end ? line_end : end) - text);

        if (len > 0)
            rc_buf_addf(emitter->out, "%*s", (emitter->depth + 1) * STEP, "");
        rc_buf_add(emitter->out, text, len);
        rc_buf_addc(emitter->out, '\n');
        text += len + 1;
    }
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void add_key(struct core_emitter *emitter, const char *key)
{
    start_line(emitter);
    if (is_plain(key))
        rc_buf_adds(emitter->out, key);
    else
        add_quoted(emitter->out, key);
    rc_buf_addc(emitter->out, ':');
}

void core_emit_begin(struct core_emitter *emitter, const char *key)
{
    add_key(emitter, key);
    rc_buf_addc(emitter->out, '\n');
    emitter->depth++;
}

void core_emit_item(struct core_emitter *emitter)
{
    emitter->dash = true;
    emitter->depth++;
}

void core_emit_end(struct core_emitter *emitter)
{
    RC_ASSERT(emitter->depth > 0 && !emitter->dash);
    emitter->depth--;
}

void core_emit_text(struct core_emitter *emitter, const char *key, const char *text)
{
    add_key(emitter, key);
    rc_buf_addc(emitter->out, ' ');
    add_scalar(emitter->out, text);
}

void core_emit_block(struct core_emitter *emitter, const char *key, const char *text)
{
    const char *first = text + strspn(text, "\n");
    size_t len = strlen(text);

    if (!fits_block(text)) {
        core_emit_text(emitter, key, text);
        return;
    }
    add_key(emitter, key);
    rc_buf_adds(emitter->out, " |");
    /* Where the first line does not show how far the block is indented, that is said. */
    if (first > text || *first == ' ' || *first == '\t')
        rc_buf_addf(emitter->out, "%d", STEP);
    if (!rc_str_ends(text, "\n"))
        rc_buf_addc(emitter->out, '-');
    else if (rc_str_ends(text, "\n\n"))
        rc_buf_addc(emitter->out, '+');
    rc_buf_addc(emitter->out, '\n');
    add_lines(emitter, text, text + len);
}

void core_emit_number(struct core_emitter *emitter, const char *key, int64_t number)
{
    add_key(emitter, key);
    rc_buf_addf(emitter->out, " %" PRId64 "\n", number);
}

void core_emit_bool(struct core_emitter *emitter, const char *key, bool value)
{
    add_key(emitter, key);
    rc_buf_adds(emitter->out, value ? " true\n" : " false\n");
}

void core_emit_empty_map(struct core_emitter *emitter, const char *key)
{
    add_key(emitter, key);
    rc_buf_adds(emitter->out, " {}\n");
}

void core_emit_item_text(struct core_emitter *emitter, const char *text)
{
    core_emit_item(emitter);
    start_line(emitter);
    add_scalar(emitter->out, text);
    core_emit_end(emitter);
}

void core_emit_item_number(struct core_emitter *emitter, int64_t number)
{
    core_emit_item(emitter);
    start_line(emitter);
    rc_buf_addf(emitter->out, "%" PRId64 "\n", number);
    core_emit_end(emitter);
}

void core_emit_comment(struct core_emitter *emitter, const char *text)
{
    start_line(emitter);
    rc_buf_adds(emitter->out, "# ");
    for (; *text; text++)
        rc_buf_addc(emitter->out, (unsigned char)*text < 0x20 ? ' ' : *text);
    rc_buf_addc(emitter->out, '\n');
}
