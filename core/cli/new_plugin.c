/*
 * 'run-core new-plugin': writes the beginnings of a plugin from the templates that are built in.
 */
#include <cli/arguments.h>
#include <cli/output.h>
#include <cli/templates.h>

#include <os/file.h>

#include <run-core/str.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_NAME = 63, FILE_BYTES = 256 * 1024 };

struct new_plugin {
    const char *name, *directory;
    char ident[MAX_NAME + 1]; /* the name as a C identifier */
    char prefix[PATH_MAX];    /* of this run-core; "/usr" if it cannot be told */
};

/* ---- names ----------------------------------------------------------------------------------- */

static enum rc_code check_name(const struct core_arguments *arguments, const char *name,
                               struct rc_error *err)
{
    size_t len = strlen(name);

    if (len == 0 || len > MAX_NAME || name[0] < 'a' || name[0] > 'z' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len || name[len - 1] == '-')
        return rc_fail(err, RC_INVALID,
                       "'%s' cannot be the name of a plugin: a name begins with a letter and has "
                       "lower-case letters, digits and '-' only, at most %d",
                       name, MAX_NAME);
    if (core_command_find(arguments->commands, name))
        return rc_fail(err, RC_INVALID,
                       "'%s' is a command of run-core, so a plugin of that name could not be run",
                       name);
    return RC_OK;
}

static void take_names(struct new_plugin *plugin, const char *name)
{
    ssize_t len = readlink("/proc/self/exe", plugin->prefix, sizeof(plugin->prefix) - 1);

    plugin->name = name;
    for (size_t i = 0; name[i]; i++)
        plugin->ident[i] = name[i];
    for (char *c = plugin->ident; *c; c++)
        if (*c == '-')
            *c = '_';
    plugin->prefix[len > 0 ? len : 0] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(plugin->prefix, '/');

        if (slash)
            *slash = '\0';
    }
}

/* ---- templates ------------------------------------------------------------------------------- */

static void add_text(const struct new_plugin *plugin, const char *text, struct rc_buf *out)
{
    const struct {
        const char *mark, *value;
    } marks[] = {
        { "@NAME@", plugin->name },
        { "@IDENT@", plugin->ident },
        { "@PREFIX@", plugin->prefix[0] ? plugin->prefix : "/usr" },
    };

    while (*text) {
        size_t found = 0;

        while (found < RC_ARRAY_LEN(marks) && !rc_str_starts(text, marks[found].mark))
            found++;
        if (found == RC_ARRAY_LEN(marks)) {
            rc_buf_addc(out, *text++);
            continue;
        }
        rc_buf_adds(out, marks[found].value);
        text += strlen(marks[found].mark);
    }
}

/* DIR/FILE, with the plugin's name in it; freed with free(). */
static char *path_of(const struct new_plugin *plugin, const struct core_template *template)
{
    static const char stand_in[] = "NAME";
    const char *found = strstr(template->file, stand_in);

    if (!found)
        return rc_strf("%s/%s", plugin->directory, template->file);
    return rc_strf("%s/%.*s%s%s", plugin->directory, (int)(found - template->file), template->file,
                   plugin->name, found + strlen(stand_in));
}

static enum rc_code write_file(const char *path, const struct rc_buf *text, struct rc_error *err)
{
    RC_CLEANUP(core_temp_file_close) struct core_temp_file file = CORE_TEMP_FILE_INIT;

    if (core_temp_file_open(&file, path, 0644, err) ||
        core_temp_file_write(&file, text->data, text->len, err) ||
        core_temp_file_publish(&file, /* exclusive = */ true, err))
        return rc_context(err, "write '%s'", path);
    return RC_OK;
}

/*
 * Looks at all files before it writes the first, so that nothing is half done for a foreseeable
 * reason.
 */
static enum rc_code write_all(const struct new_plugin *plugin, struct rc_buf *out,
                              struct rc_error *err)
{
    for (const struct core_template *each = core_templates; each->file; each++) {
        RC_STR_AUTO path = path_of(plugin, each);

        if (access(path, F_OK) == 0)
            return rc_fail(err, RC_CONFLICT,
                           "'%s' exists already; remove it, or name another directory", path);
    }
    if (core_dir_make(plugin->directory, 0755, err))
        return rc_context(err, "make '%s'", plugin->directory);
    for (const struct core_template *each = core_templates; each->file; each++) {
        RC_STR_AUTO path = path_of(plugin, each);
        RC_BUF_AUTO(text, FILE_BYTES);

        add_text(plugin, each->text, &text);
        if (rc_buf_check(&text, err) || write_file(path, &text, err))
            return err->code;
        rc_buf_addf(out, "wrote %s\n", path);
    }
    return RC_OK;
}

static int run_new_plugin(const struct core_arguments *arguments)
{
    struct new_plugin plugin = { .directory = NULL };
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO directory = NULL;
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);

    if (check_name(arguments, arguments->words[0], &err))
        return core_cli_complain(&err);
    take_names(&plugin, arguments->words[0]);
    directory =
        arguments->word_count > 1 ? rc_strdup(arguments->words[1]) : rc_strf("./%s", plugin.name);
    plugin.directory = directory;
    if (write_all(&plugin, &out, &err))
        return core_cli_complain(&err);
    rc_buf_addf(&out,
                "\nNext: cd %s && cmake -B build && cmake --build build && "
                "ctest --test-dir build\n",
                plugin.directory);
    return core_cli_print(&out, CORE_EXIT_OK);
}

const struct core_command core_command_new_plugin = {
    .name = "new-plugin",
    .operands = "NAME [DIR]",
    .summary = "Writes a plugin that builds, passes its test and runs.",
    .details = "The files go to DIR, ./NAME by default. A file that exists is never overwritten.",
    .min_words = 1,
    .max_words = 2,
    .run = run_new_plugin,
};
