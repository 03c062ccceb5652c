/*
 * Reads the files of the AWS tools, as botocore understands them: INI with sections, "key = value",
 * and a value that goes on in indented lines, which may be keys of their own. What the keys mean is
 * the matter of those who look for credentials.
 */
#include <cloud/aws_profiles.h>

#include <base/nearest.h>
#include <config/problems.h>
#include <os/file.h>

#include <run-core/str.h>

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    FILE_BYTES = 1024 * 1024,
    MOST_LINES = 100, /* of one value */
    ACCOUNT_BYTES = 16 * 1024,
    MOST_NAMES = 20, /* that a message lists */
};

struct core_aws_entry {
    enum core_aws_section section;
    enum core_aws_file file;
    const char *name, *group, *key; /* the group is NULL but in indented lines */
    struct core_aws_value value;
    struct core_aws_entry *next; /* an earlier one */
};

struct core_aws_name {
    enum core_aws_section section;
    const char *name;
    struct core_aws_name *next;
};

void core_aws_profiles_clear(struct core_aws_profiles *profiles)
{
    core_arena_clear(&profiles->arena);
    *profiles = (struct core_aws_profiles){ .entries = NULL };
}

/* ---- words ----------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

/* Reads one word to 'out', which has room for all of the text. */
static const char *read_word(const char *at, char *out, const char **wrong)
{
    char quote = '\0';

    for (; *at && (quote || !is_blank(*at)); at++) {
        if (*at == quote) {
            quote = '\0';
        } else if (!quote && (*at == '\'' || *at == '"')) {
            quote = *at;
        } else if (*at == '\\' && !quote) {
            if (!*++at) {
                *wrong = "a backslash at its end";
                return NULL;
            }
            *out++ = *at;
        } else if (*at == '\\' && quote == '"' && (at[1] == '"' || at[1] == '\\')) {
            *out++ = *++at;
        } else {
            *out++ = *at;
        }
    }
    *out = '\0';
    if (quote)
        *wrong = "a quote that does not end";
    return quote ? NULL : at;
}

char **core_aws_split_words(struct core_arena *arena, const char *text, size_t *count,
                            const char **wrong)
{
    size_t len = strlen(text), used = 0;
    /* No more words than every second character, and each fits where it stood. */
    char **words = core_arena_alloc(arena, (len / 2 + 2) * sizeof(*words));
    char *room = core_arena_alloc(arena, len + 1);

    for (;;) {
        while (is_blank(*text))
            text++;
        if (!*text)
            break;
        text = read_word(text, room, wrong);
        if (!text)
            return NULL;
        words[used++] = room;
        room += strlen(room) + 1;
    }
    *count = used;
    return words;
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* A line without blanks around it. */
struct line {
    const char *text;
    size_t len, indent;
    int number;
};

struct parser {
    struct core_aws_profiles *profiles;
    enum core_aws_file file;
    const char *path;

    bool in_section, known; /* a section of a kind that counts */
    enum core_aws_section section;
    const char *name;

    struct core_aws_entry *entry; /* whose value may go on */
    size_t indent;                /* of its line */
    bool nested;                  /* its value is the lines below it */
    int lines;                    /* in which it goes on */
};

static enum rc_code fail(const struct parser *parser, const struct line *line, const char *what,
                         struct rc_error *err)
{
    return rc_fail(err, RC_INVALID, "%s:%d: %s", parser->path, line->number, what);
}

static bool next_line(const char **at, const char *end, struct line *out)
{
    const char *stop;

    if (*at == end)
        return false;
    stop = memchr(*at, '\n', (size_t)(end - *at));
    *out = (struct line){ .text = *at, .number = out->number + 1 };
    *at = stop ? stop + 1 : end;
    stop = stop ? stop : end;
    while (out->text < stop && is_blank(*out->text)) {
        out->text++;
        out->indent++;
    }
    while (stop > out->text && is_blank(stop[-1]))
        stop--;
    out->len = (size_t)(stop - out->text);
    return true;
}

static void add_name(struct parser *parser)
{
    struct core_aws_name *name;

    if (core_aws_profiles_has(parser->profiles, parser->section, parser->name))
        return;
    name = core_arena_alloc(&parser->profiles->arena, sizeof(*name));
    *name = (struct core_aws_name){ .section = parser->section,
                                    .name = parser->name,
                                    .next = parser->profiles->names };
    parser->profiles->names = name;
}

/* "[default]", "[profile NAME]", "[sso-session NAME]", "[services NAME]"; others do not count. */
static void begin_config_section(struct parser *parser, const char *title)
{
    static const struct {
        const char *word;
        enum core_aws_section section;
    } kinds[] = {
        { "profile", CORE_AWS_PROFILE },
        { "sso-session", CORE_AWS_SSO_SESSION },
        { "services", CORE_AWS_SERVICES },
    };
    const char *wrong;
    size_t count;
    char **words = core_aws_split_words(&parser->profiles->arena, title, &count, &wrong);

    if (words && count == 1 && strcmp(words[0], "default") == 0) {
        parser->section = CORE_AWS_PROFILE;
        parser->name = words[0];
        parser->known = true;
    }
    for (size_t i = 0; words && count == 2 && i < RC_ARRAY_LEN(kinds); i++)
        if (strcmp(words[0], kinds[i].word) == 0) {
            parser->section = kinds[i].section;
            parser->name = words[1];
            parser->known = true;
        }
}

static enum rc_code begin_section(struct parser *parser, const struct line *line,
                                  struct rc_error *err)
{
    const char *begin = line->text + 1, *end = memrchr(line->text, ']', line->len);

    if (!end)
        return fail(parser, line, "the name of a section ends with ']'", err);
    while (begin < end && is_blank(*begin))
        begin++;
    while (end > begin && is_blank(end[-1]))
        end--;
    if (begin == end)
        return fail(parser, line, "a section has a name: [default], [profile NAME]", err);

    const char *title = core_arena_strndup(&parser->profiles->arena, begin, (size_t)(end - begin));
    parser->in_section = true;
    parser->known = false;
    parser->entry = NULL;
    if (parser->file == CORE_AWS_CREDENTIALS) {
        parser->section = CORE_AWS_PROFILE;
        parser->name = title;
        parser->known = true;
    } else {
        begin_config_section(parser, title);
    }
    if (parser->known)
        add_name(parser);
    return RC_OK;
}

/* Adds "key = value". The delimiter is at 'delimiter' in the line. */
static struct core_aws_entry *add_entry(struct parser *parser, const struct line *line,
                                        const char *group, const char *delimiter)
{
    struct core_arena *arena = &parser->profiles->arena;
    const char *end = line->text + line->len, *value = delimiter + 1, *key_end = delimiter;
    struct core_aws_entry *entry = core_arena_alloc(arena, sizeof(*entry));
    char *key;

    while (key_end > line->text && is_blank(key_end[-1]))
        key_end--;
    while (value < end && is_blank(*value))
        value++;
    key = core_arena_strndup(arena, line->text, (size_t)(key_end - line->text));
    for (char *c = key; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    *entry = (struct core_aws_entry){
        .section = parser->section,
        .file = parser->file,
        .name = parser->name,
        .group = group,
        .key = key,
        .value = { .text = core_arena_strndup(arena, value, (size_t)(end - value)),
                   .file = parser->path,
                   .line = line->number },
        .next = parser->profiles->entries,
    };
    if (parser->known)
        parser->profiles->entries = entry;
    return entry;
}

static enum rc_code begin_value(struct parser *parser, const struct line *line,
                                struct rc_error *err)
{
    size_t key_len = 0;

    while (key_len < line->len && line->text[key_len] != '=' && line->text[key_len] != ':')
        key_len++;
    if (key_len == 0 || key_len == line->len)
        return fail(parser, line, "a line is '[section]' or 'key = value'", err);
    if (!parser->in_section)
        return fail(parser, line, "a section has to come first, such as [default]", err);
    parser->entry = add_entry(parser, line, NULL, line->text + key_len);
    parser->indent = line->indent;
    parser->nested = !*parser->entry->value.text;
    parser->lines = 0;
    return RC_OK;
}

/* An indented line: of a value that goes on, or a key below one without a value. */
static enum rc_code go_on(struct parser *parser, const struct line *line, struct rc_error *err)
{
    struct core_arena *arena = &parser->profiles->arena;
    const char *delimiter = memchr(line->text, '=', line->len);

    if (++parser->lines > MOST_LINES)
        return fail(parser, line, "the value goes on over more than 100 lines", err);
    if (!parser->nested) {
        parser->entry->value.text = core_arena_strf(arena, "%s\n%.*s", parser->entry->value.text,
                                                    (int)line->len, line->text);
        return RC_OK;
    }
    if (!delimiter || delimiter == line->text)
        return fail(parser, line, "an indented line below 'key =' is 'key = value'", err);
    (void)add_entry(parser, line, parser->entry->key, delimiter);
    return RC_OK;
}

enum rc_code core_aws_profiles_parse(struct core_aws_profiles *profiles, enum core_aws_file file,
                                     const char *path, const char *text, size_t len,
                                     struct rc_error *err)
{
    struct parser parser = { .profiles = profiles,
                             .file = file,
                             .path = core_arena_strdup(&profiles->arena, path) };
    const char *at = text, *end = text + len;
    struct line line = { .number = 0 };
    enum rc_code code = RC_OK;

    profiles->paths[file] = parser.path;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* as editors on Windows write it */
        at += 3;
    while (code == RC_OK && next_line(&at, end, &line)) {
        if (line.len == 0 || line.text[0] == '#' || line.text[0] == ';')
            continue;
        if (memchr(line.text, '\0', line.len))
            code = fail(&parser, &line, "this is no text: it has a byte 0", err);
        else if (parser.entry && line.indent > parser.indent)
            code = go_on(&parser, &line, err);
        else if (line.text[0] == '[')
            code = begin_section(&parser, &line, err);
        else
            code = begin_value(&parser, &line, err);
    }
    return code;
}

/* ---- the files ------------------------------------------------------------------------------- */

const char *core_aws_environment(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

const char *core_aws_profile_of_environment(void)
{
    const char *name = core_aws_environment("AWS_DEFAULT_PROFILE");

    return name ? name : core_aws_environment("AWS_PROFILE");
}

char *core_aws_home_path(const char *rest)
{
    const char *home = core_aws_environment("HOME");
    struct passwd account, *found = NULL;
    char memory[ACCOUNT_BYTES];

    if (!home && getpwuid_r(getuid(), &account, memory, sizeof(memory), &found) == 0 && found)
        home = found->pw_dir;
    return rc_strf("%s/%s", home ? home : "", rest);
}

static enum rc_code load_file(struct core_aws_profiles *profiles, enum core_aws_file file,
                              const char *variable, const char *usual, struct rc_error *err)
{
    const char *named = core_aws_environment(variable);
    RC_BUF_AUTO(text, FILE_BYTES);
    RC_STR_AUTO path = !named                       ? core_aws_home_path(usual)
                       : rc_str_starts(named, "~/") ? core_aws_home_path(named + 2)
                                                    : rc_strdup(named);
    enum rc_code code = core_file_read(path, &text, err);

    if (code == RC_NOT_FOUND) /* adds nothing, but messages can name it */
        code = core_aws_profiles_parse(profiles, file, path, "", 0, err);
    else if (code == RC_OK)
        code = core_aws_profiles_parse(profiles, file, path, text.data, text.len, err);
    if (text.len > 0)
        explicit_bzero(text.data, text.len);
    return code ? rc_context(err, "read the AWS profiles") : RC_OK;
}

enum rc_code core_aws_profiles_load(struct core_aws_profiles *profiles, struct rc_error *err)
{
    enum rc_code code = load_file(profiles, CORE_AWS_CONFIG, "AWS_CONFIG_FILE", ".aws/config", err);

    if (code == RC_OK)
        code = load_file(profiles, CORE_AWS_CREDENTIALS, "AWS_SHARED_CREDENTIALS_FILE",
                         ".aws/credentials", err);
    return code;
}

/* ---- looking up ------------------------------------------------------------------------------ */

bool core_aws_profiles_has(const struct core_aws_profiles *profiles, enum core_aws_section section,
                           const char *name)
{
    for (const struct core_aws_name *at = profiles->names; at; at = at->next)
        if (at->section == section && strcmp(at->name, name) == 0)
            return true;
    return false;
}

/* The last one in the file, which is the first in the list. */
static const struct core_aws_value *find(const struct core_aws_profiles *profiles,
                                         enum core_aws_file file, enum core_aws_section section,
                                         const char *name, const char *group, const char *key)
{
    for (const struct core_aws_entry *at = profiles->entries; at; at = at->next)
        if (at->file == file && at->section == section && strcmp(at->key, key) == 0 &&
            strcmp(at->name, name) == 0 && rc_str_eq(at->group, group))
            return *at->value.text ? &at->value : NULL;
    return NULL;
}

const struct core_aws_value *core_aws_profiles_nested(const struct core_aws_profiles *profiles,
                                                      enum core_aws_section section,
                                                      const char *name, const char *group,
                                                      const char *key)
{
    const struct core_aws_value *value =
        find(profiles, CORE_AWS_CREDENTIALS, section, name, group, key);

    return value ? value : find(profiles, CORE_AWS_CONFIG, section, name, group, key);
}

const struct core_aws_value *core_aws_profiles_get(const struct core_aws_profiles *profiles,
                                                   enum core_aws_section section, const char *name,
                                                   const char *key)
{
    return core_aws_profiles_nested(profiles, section, name, /* group = */ NULL, key);
}

const struct core_aws_value *core_aws_profiles_get_in(const struct core_aws_profiles *profiles,
                                                      enum core_aws_file file, const char *name,
                                                      const char *key)
{
    return find(profiles, file, CORE_AWS_PROFILE, name, /* group = */ NULL, key);
}

enum rc_code core_aws_profiles_fail_missing(const struct core_aws_profiles *profiles,
                                            enum core_aws_section section, const char *name,
                                            const char *named_by, struct rc_error *err)
{
    static const char *const kinds[] = { "profile", "sso-session", "services" };
    const char *names[MOST_NAMES] = { NULL }, *nearest;
    char shown[CORE_SHOWN_TEXT], shown_other[CORE_SHOWN_TEXT];
    RC_BUF_AUTO(list, RC_ERROR_TEXT / 2);
    size_t count = 0;

    for (const struct core_aws_name *at = profiles->names; at && count < MOST_NAMES; at = at->next)
        if (at->section == section)
            names[count++] = at->name;
    nearest = core_nearest(name, names, count);
    for (size_t i = 0; i < count && !nearest; i++)
        rc_buf_addf(&list, "%s'%s'", i > 0 ? ", " : "; there are ", core_shown(names[i], shown));
    if (nearest)
        rc_buf_addf(&list, "; did you mean '%s'?", core_shown(nearest, shown_other));
    return rc_fail(err, RC_INVALID, "there is no %s '%s', which %s names, in '%s'%s%s%s%s",
                   kinds[section], core_shown(name, shown), named_by,
                   profiles->paths[CORE_AWS_CONFIG], section == CORE_AWS_PROFILE ? " or '" : "",
                   section == CORE_AWS_PROFILE ? profiles->paths[CORE_AWS_CREDENTIALS] : "",
                   section == CORE_AWS_PROFILE ? "'" : "", list.data);
}
