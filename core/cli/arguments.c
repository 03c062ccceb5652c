/*
 * Parses the command line by the table of flags. What a command does with its words is its own
 * matter; that it takes them at all is checked by the dispatcher in cli.c.
 */
#include <cli/arguments.h>

#include <base/nearest.h>

#include <run-core/log.h>
#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_CONFIG "/etc/run-core/conf.d"

#define AT(member) offsetof(struct core_arguments, member)

const struct core_flag core_flags[] = {
    { CORE_FLAG_CONFIG, "config", 'c', "FILE|DIR", CORE_TEXT, AT(config),
      "Reads the configuration there; else from RUN_CORE_CONFIG, else from " SYSTEM_CONFIG "." },
    { CORE_FLAG_SET, "set", 's', "KEY=VALUE", CORE_TEXTS, AT(set),
      "Gives an option or a parameter a value, above all files. May be repeated." },
    { CORE_FLAG_JOB, "job", 'j', "NAME", CORE_TEXT, AT(job),
      "Means that job of the configuration: its values, its schedule, its runs." },
    { CORE_FLAG_NOW, "now", 0, "TIME", CORE_TIME, AT(now),
      "Runs as if it were that time (RFC 3339, such as 2026-01-31T02:00:00Z)." },
    { CORE_FLAG_DRY_RUN, "dry-run", 'n', NULL, CORE_SWITCH, AT(dry_run),
      "Changes nothing: every change is logged and counted instead." },
    { CORE_FLAG_FORCE, "force", 'f', NULL, CORE_SWITCH, AT(force),
      "Runs although another run of the job is under way." },
    { CORE_FLAG_LISTEN, "listen", 'l', "ADDR", CORE_TEXT, AT(listen),
      "Serves health and metrics at HOST:PORT while it runs; port 0 takes a free one." },
    { CORE_FLAG_FROM, "from", 0, "TIME", CORE_TEXT, AT(from),
      "Looks behind that time (RFC 3339, such as 2026-01-31T02:00:00Z), by default behind now." },
    { CORE_FLAG_TIME_ZONE, "time-zone", 0, "ZONE", CORE_TEXT, AT(time_zone),
      "Keeps the schedule in that time zone (IANA name), by default in UTC." },
    { CORE_FLAG_COUNT, "count", 0, "N", CORE_TEXT, AT(count), "Shows that many times." },
    { CORE_FLAG_EXPLAIN, "explain", 0, NULL, CORE_SWITCH, AT(explain),
      "Says in words what the schedule means, and why a time is moved." },
    { CORE_FLAG_BATCH, "batch", 0, NULL, CORE_SWITCH, AT(batch),
      "Reads rows from stdin and answers each with a line." },
    { CORE_FLAG_STATUS, "status", 0, "STATUS", CORE_TEXT, AT(status),
      "Shows runs of that status only, such as failed; several are separated by commas." },
    { CORE_FLAG_LIMIT, "limit", 0, "N", CORE_TEXT, AT(limit), "Shows at most so many." },
    { CORE_FLAG_AS, "as", 0, "FORM", CORE_TEXT, AT(as),
      "Exports as cronjobs or daemon (kubernetes), or as timers (systemd); by default the first." },
    { CORE_FLAG_OUTPUT, "output", 'o', "DIR", CORE_TEXT, AT(output),
      "Writes files into that folder, and their names to stdout." },
    { CORE_FLAG_IMAGE, "image", 0, "IMAGE", CORE_TEXT, AT(image),
      "Takes that image for containers; by default run-core with the present version." },
    { CORE_FLAG_NAMESPACE, "namespace", 0, "NAME", CORE_TEXT, AT(name_space),
      "Puts all objects into that namespace." },
    { CORE_FLAG_FOLLOW, "follow", 'f', NULL, CORE_SWITCH, AT(follow),
      "Goes on as the log grows, until the run has ended." },
    { CORE_FLAG_ATTEMPT, "attempt", 0, "N", CORE_TEXT, AT(attempt),
      "Takes that attempt, from 1; by default the latest." },
    { CORE_FLAG_TAIL, "tail", 0, "N", CORE_TEXT, AT(tail), "Shows only so many lines at the end." },
    { CORE_FLAG_WAIT, "wait", 'w', NULL, CORE_SWITCH, AT(wait),
      "Waits for the end of the run, shows its log, and ends with its exit status." },
    { CORE_FLAG_REMOVE_ALL, "force", 'f', NULL, CORE_SWITCH, AT(force),
      "Removes a whole bucket or file system too, and lets pass what is not there." },
    { CORE_FLAG_RECURSIVE, "recursive", 'r', NULL, CORE_SWITCH, AT(recursive),
      "Takes all that lies below a folder." },
    { CORE_FLAG_INCLUDE, "include", 0, "PATTERN", CORE_TEXTS, AT(include),
      "Of what lies below a folder, takes only names like that: * is any text, ? any character, "
      "[a-z] one of these. May be repeated." },
    { CORE_FLAG_EXCLUDE, "exclude", 0, "PATTERN", CORE_TEXTS, AT(exclude),
      "Leaves out names like that, also included ones. May be repeated." },
    { CORE_FLAG_DELETE, "delete", 0, NULL, CORE_SWITCH, AT(remove_extra),
      "Removes what is at the target and has no source, once everything was copied." },
    { CORE_FLAG_MAX_DELETE, "max-delete", 0, "N", CORE_TEXT, AT(max_delete),
      "With --delete: where more than so many have no source, nothing is removed." },
    { CORE_FLAG_ALLOW_EMPTY, "allow-empty", 0, NULL, CORE_SWITCH, AT(allow_empty),
      "With --delete: empties the target if the source is empty, which is refused else." },
    { CORE_FLAG_COMPARE, "compare", 0, "HOW", CORE_TEXT, AT(compare),
      "Tells what has the same size apart by auto (the default), size, etag, mtime or checksum." },
    { CORE_FLAG_CHECKSUM, "checksum", 0, NULL, CORE_SWITCH, AT(checksum),
      "Reads files of equal size and compares them with what the store knows, whatever their "
      "times; copies what cannot be compared. The same as --compare checksum." },
    { CORE_FLAG_IF_ABSENT, "if-absent", 0, NULL, CORE_SWITCH, AT(if_absent),
      "Replaces nothing: what is there already is skipped." },
    { CORE_FLAG_VERSIONS, "versions", 0, NULL, CORE_SWITCH, AT(versions),
      "Shows every version of each object, the newest first." },
    { CORE_FLAG_VERSION_ID, "version-id", 0, "ID", CORE_TEXT, AT(version_id),
      "Means that version of the object." },
    { CORE_FLAG_VERSION_IDS, "version-id", 0, "ID", CORE_TEXTS, AT(version_ids),
      "Removes that version of one object, for good. May be repeated." },
    { CORE_FLAG_RANGE, "range", 0, "A-B", CORE_TEXT, AT(range),
      "Takes the bytes from A to B, which count from 0; A- goes to the end, -N are the last N." },
    { CORE_FLAG_SUMMARY, "summary", 0, NULL, CORE_SWITCH, AT(summary),
      "Ends with how many objects and bytes there were." },
    { CORE_FLAG_HUMAN, "human", 0, NULL, CORE_SWITCH, AT(human),
      "Shows sizes as people write them, such as 1.5 GiB." },
    { CORE_FLAG_OLDER, "older", 0, "DURATION", CORE_TEXT, AT(older),
      "Means what was begun longer ago than that, such as 12h; by default 1d." },
    { CORE_FLAG_STORAGE_CLASS, "storage-class", 0, "CLASS", CORE_TEXT, AT(storage_class),
      "Writes objects of that storage class." },
    { CORE_FLAG_CONTENT_TYPE, "content-type", 0, "TYPE", CORE_TEXT, AT(content_type),
      "Writes objects of that type, such as text/csv." },
    { CORE_FLAG_METADATA, "metadata", 0, "KEY=VALUE", CORE_TEXTS, AT(metadata),
      "Writes objects with that metadata. May be repeated." },
    { CORE_FLAG_WIDTH, "width", 0, "N", CORE_TEXT, AT(width),
      "Does at most so many things at once; by default as many as the stores can take." },
    { CORE_FLAG_LIMIT_RATE, "limit-rate", 0, "SIZE", CORE_TEXT, AT(limit_rate),
      "Moves at most so many bytes in a second, such as 10MiB." },
    { CORE_FLAG_KEEP_GOING, "keep-going", 'k', NULL, CORE_SWITCH, AT(keep_going),
      "Goes on after a failure; the exit status still tells of it." },
    { CORE_FLAG_RESUME, "resume", 0, "FILE", CORE_TEXT, AT(resume),
      "Of one folder: keeps in that file how far it is, and goes on from there, also within a "
      "large object, if the file exists; it is removed at the end." },
    { CORE_FLAG_ENDPOINT, "endpoint", 0, "URL", CORE_TEXT, AT(endpoint),
      "Means the object store at that address." },
    { CORE_FLAG_REGION, "region", 0, "REGION", CORE_TEXT, AT(region),
      "Means buckets of that region." },
    { CORE_FLAG_PROFILE, "profile", 0, "NAME", CORE_TEXT, AT(profile),
      "Takes the credentials of that profile of the AWS configuration." },
    { CORE_FLAG_ANONYMOUS, "anonymous", 0, NULL, CORE_SWITCH, AT(anonymous),
      "Sends requests without credentials, as for public buckets." },
    { CORE_FLAG_JSON, "json", 0, NULL, CORE_SWITCH, AT(json),
      "Writes the result to stdout as JSON." },
    { CORE_FLAG_MARKDOWN, "markdown", 0, NULL, CORE_SWITCH, AT(markdown),
      "Writes the result to stdout as Markdown." },
    { CORE_FLAG_LOG_LEVEL, "log-level", 0, "LEVEL", CORE_LEVEL, AT(log_level),
      "Logs up to that level: error, warn, info (the default) or debug." },
    { CORE_FLAG_VERBOSE, "verbose", 'v', NULL, CORE_LOUDER, AT(log_level), "Logs one level more." },
    { CORE_FLAG_QUIET, "quiet", 'q', NULL, CORE_QUIETER, AT(log_level),
      "Logs one level less; twice leaves only errors." },
    { CORE_FLAG_HELP, "help", 'h', NULL, CORE_SWITCH, AT(help), "Shows this help." },
    { CORE_FLAG_VERSION, "version", 'V', NULL, CORE_SWITCH, AT(version), "Shows the version." },
    { .bit = 0 },
};

static const char *const level_names[] = { "error", "warn", "info", "debug" };

/* ---- one flag -------------------------------------------------------------------------------- */

bool core_flag_allowed(const struct core_flag *flag, uint64_t flags)
{
    return (flag->bit & (flags | CORE_FLAG_HELP)) != 0;
}

void core_flag_add_name(const struct core_flag *flag, struct rc_buf *out)
{
    if (flag->letter)
        rc_buf_addf(out, "-%c, ", flag->letter);
    rc_buf_addf(out, "--%s", flag->name);
    if (flag->value)
        rc_buf_addf(out, " %s", flag->value);
}

static bool is_flag(const struct core_flag *flag, const char *name, size_t len)
{
    bool is_letter = name[0] == '-' && len == 2;

    return is_letter ? flag->letter == name[1]
                     : strlen(flag->name) == len && strncmp(flag->name, name, len) == 0;
}

/*
 * By its name, or by its letter with the dash. Either may stand for several flags; that of the
 * command counts, where it is known by now.
 */
static const struct core_flag *find_flag(const char *name, size_t len,
                                         const struct core_arguments *so_far)
{
    const struct core_command *command = NULL;
    const struct core_flag *first = NULL;
    size_t used;

    if (so_far->commands)
        command = core_command_of(so_far->commands, so_far->words, so_far->word_count, &used);
    for (const struct core_flag *flag = core_flags; flag->bit; flag++) {
        if (!is_flag(flag, name, len))
            continue;
        if (!command || core_flag_allowed(flag, command->flags))
            return flag;
        first = first ? first : flag;
    }
    return first;
}

static enum rc_code unknown_flag(const char *name, size_t len, struct rc_error *err)
{
    RC_STR_AUTO word = rc_strndup(name, len);
    const char *names[96];
    const char *nearest;
    size_t count = 0;

    for (const struct core_flag *flag = core_flags; flag->bit; flag++) {
        RC_ASSERT(count < RC_ARRAY_LEN(names));
        names[count++] = flag->name;
    }
    nearest = core_nearest(word, names, count);
    if (nearest)
        return rc_fail(err, RC_INVALID, "unknown flag '--%s'; did you mean '--%s'?", word, nearest);
    return rc_fail(err, RC_INVALID, "unknown flag '--%s'; see 'run-core --help'", word);
}

static enum rc_code set_level(struct core_flag_level *level, const char *value,
                              struct rc_error *err)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(level_names); i++)
        if (strcmp(level_names[i], value) == 0) {
            *level = (struct core_flag_level){ .given = true, .level = (int)i };
            return RC_OK;
        }
    return rc_fail(err, RC_INVALID, "'--log-level %s': a level is error, warn, info or debug",
                   value);
}

static void step_level(struct core_flag_level *level, int step)
{
    int next = (level->given ? level->level : RC_LOG_INFO) + step;

    if (next < RC_LOG_ERROR)
        next = RC_LOG_ERROR;
    if (next > RC_LOG_DEBUG)
        next = RC_LOG_DEBUG;
    *level = (struct core_flag_level){ .given = true, .level = next };
}

static void add_text(struct rc_strs *texts, const char *value)
{
    const char **items = rc_malloc((texts->len + 1) * sizeof(*items));

    if (texts->len)
        memcpy(items, texts->items, texts->len * sizeof(*items));
    items[texts->len] = value;
    free((void *)texts->items);
    *texts = (struct rc_strs){ texts->len + 1, items };
}

static enum rc_code apply(const struct core_flag *flag, const char *value,
                          struct core_arguments *out, struct rc_error *err)
{
    void *member = (char *)out + flag->offset;
    struct core_flag_time *time;

    switch (flag->kind) {
    case CORE_SWITCH:
        *(bool *)member = true;
        return RC_OK;
    case CORE_TEXT:
        RC_ASSERT(flag->value);
        if (!*value)
            return rc_fail(err, RC_INVALID, "'--%s' needs a value: %s", flag->name, flag->value);
        *(const char **)member = value;
        return RC_OK;
    case CORE_TEXTS:
        add_text(member, value);
        return RC_OK;
    case CORE_TIME:
        time = member;
        time->given = true;
        if (!rc_parse_time(value, &time->unix_ms))
            return rc_fail(err, RC_INVALID,
                           "'--%s %s': a time is written as in RFC 3339, such as "
                           "2026-01-31T02:00:00Z",
                           flag->name, value);
        return RC_OK;
    case CORE_LEVEL:
        return set_level(member, value, err);
    case CORE_LOUDER:
    case CORE_QUIETER:
        step_level(member, flag->kind == CORE_LOUDER ? 1 : -1);
        return RC_OK;
    }
    return rc_fail(err, RC_UNSUPPORTED, "'--%s' has no rule", flag->name);
}

/* ---- the whole line -------------------------------------------------------------------------- */

/* The words of argv still to be read. */
struct reader {
    char **argv;
    int at, argc;
};

static enum rc_code take_value(struct reader *reader, const struct core_flag *flag,
                               const char *attached, struct core_arguments *out,
                               struct rc_error *err)
{
    if (!flag->value && attached)
        return rc_fail(err, RC_INVALID, "'--%s' takes no value", flag->name);
    if (flag->value && !attached) {
        if (reader->at >= reader->argc)
            return rc_fail(err, RC_INVALID, "'--%s' needs a value: %s", flag->name, flag->value);
        attached = reader->argv[reader->at++];
    }
    return apply(flag, attached ? attached : "", out, err);
}

/* "--name", "--name=value" */
static enum rc_code take_long(struct reader *reader, const char *word, struct core_arguments *out,
                              uint64_t *given, struct rc_error *err)
{
    size_t len = strcspn(word, "=");
    const struct core_flag *flag = find_flag(word, len, out);

    if (!flag)
        return unknown_flag(word, len, err);
    *given |= flag->bit;
    return take_value(reader, flag, word[len] ? word + len + 1 : NULL, out, err);
}

/* "-n", "-vv", "-c FILE", "-cFILE" */
static enum rc_code take_letters(struct reader *reader, const char *letters,
                                 struct core_arguments *out, uint64_t *given, struct rc_error *err)
{
    for (; *letters; letters++) {
        const char name[] = { '-', *letters };
        const struct core_flag *flag = find_flag(name, sizeof(name), out);

        if (!flag)
            return rc_fail(err, RC_INVALID, "unknown flag '-%c'; see 'run-core --help'", *letters);
        *given |= flag->bit;
        if (flag->value)
            return take_value(reader, flag, letters[1] ? letters + 1 : NULL, out, err);
        if (take_value(reader, flag, NULL, out, err))
            return err->code;
    }
    return RC_OK;
}

enum rc_code core_arguments_parse(int argc, char **argv, const char **words,
                                  struct core_arguments *out, uint64_t *given, struct rc_error *err)
{
    struct reader reader = { argv, 1, argc };
    bool only_words = false; /* behind "--" */

    *given = 0;
    out->words = words;
    out->word_count = 0;
    while (reader.at < argc) {
        const char *word = argv[reader.at++];
        enum rc_code code = RC_OK;

        if (only_words || word[0] != '-' || !word[1])
            words[out->word_count++] = word;
        else if (word[1] != '-')
            code = take_letters(&reader, word + 1, out, given, err);
        else if (word[2])
            code = take_long(&reader, word + 2, out, given, err);
        else
            only_words = true;
        if (code)
            return code;
    }
    return RC_OK;
}

void core_arguments_clear(struct core_arguments *arguments)
{
    for (const struct core_flag *flag = core_flags; flag->bit; flag++) {
        struct rc_strs *texts = (struct rc_strs *)(void *)((char *)arguments + flag->offset);

        if (flag->kind != CORE_TEXTS)
            continue;
        free((void *)texts->items);
        *texts = (struct rc_strs){ 0, NULL };
    }
}

/* ---- what several commands need -------------------------------------------------------------- */

const struct core_command *core_command_find(const struct core_command *const *commands,
                                             const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

const char *core_command_word(const struct core_command *command)
{
    const char *blank = strrchr(command->name, ' ');

    return blank ? blank + 1 : command->name;
}

const struct core_command *core_command_of(const struct core_command *const *commands,
                                           const char *const *words, size_t count, size_t *used)
{
    const struct core_command *command = count > 0 ? core_command_find(commands, words[0]) : NULL;

    *used = command ? 1 : 0;
    if (!command || !command->parts || count < 2)
        return command;
    for (size_t i = 0; command->parts[i]; i++)
        if (strcmp(core_command_word(command->parts[i]), words[1]) == 0) {
            *used = 2;
            return command->parts[i];
        }
    return command;
}

const char *core_arguments_config_path(const struct core_arguments *arguments)
{
    const char *environment = getenv("RUN_CORE_CONFIG");

    if (arguments->config)
        return arguments->config;
    if (environment && *environment)
        return environment;
    return access(SYSTEM_CONFIG, F_OK) == 0 ? SYSTEM_CONFIG : NULL;
}
