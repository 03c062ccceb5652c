/*
 * Has an option of every type, and says what it was given.
 */
#include <run-core/plugin.h>

struct item {
    const char *name;
    int64_t days;
};

struct config {
    const char *text, *needed, *secret, *url;
    bool flag;
    int64_t count, wait_ms, size_bytes;
    double share;
    int colour;
    int32_t day;
    struct rc_strs list;
    struct rc_map map;
    struct rc_objects objects;
};

struct params {
    int32_t from, to;
    bool loud;
};

static const char *const colours[] = { "red", "green", "blue", NULL };

static const struct rc_option item_options[] = {
    { RC_STR("name", struct item, name), .flags = RC_OPT_REQUIRED, .help = "Its name." },
    { RC_INT("days", struct item, days), .def = "7", .min = 1, .max = 5000, .unit = "days",
      .help = "Its length." },
    { 0 },
};

static const struct rc_option options[] = {
    { RC_STR("text", struct config, text), .def = "hello", .env = "TEST_OPTIONS_TEXT",
      .also = "oldText", .help = "Any text." },
    { RC_STR("needed", struct config, needed), .flags = RC_OPT_REQUIRED,
      .help = "Has no default." },
    { RC_STR("password", struct config, secret), .flags = RC_OPT_SECRET,
      .env = "TEST_OPTIONS_PASSWORD", .help = "Is never shown." },
    { RC_URL("url", struct config, url), .help = "Where it is." },
    { RC_BOOL("flag", struct config, flag), .def = "false", .help = "Yes or no." },
    { RC_INT("count", struct config, count), .def = "3", .min = 0, .max = 10, .help = "How many." },
    { RC_FLOAT("share", struct config, share), .def = "0.5", .min = 0, .max = 1,
      .help = "How much of it." },
    { RC_MS("wait", struct config, wait_ms), .def = "30s", .min = 100, .max = 3600000,
      .help = "How long." },
    { RC_BYTES("size", struct config, size_bytes), .def = "64MiB", .help = "How large." },
    { RC_ENUM("colour", struct config, colour, colours), .def = "green", .help = "Which one." },
    { RC_DAY("day", struct config, day), .help = "When." },
    { RC_LIST("list", struct config, list), .help = "Several texts." },
    { RC_MAP("map", struct config, map), .help = "Texts by name." },
    { RC_OBJECTS("objects", struct config, objects, struct item, item_options),
      .flags = RC_OPT_WHOLE, .help = "Several items." },
    { 0 },
};

static const struct rc_option params[] = {
    { RC_DAY("from", struct params, from), .help = "The first day." },
    { RC_DAY("to", struct params, to), .help = "The last day." },
    { RC_BOOL("loud", struct params, loud), .def = "false", .help = "Whether to shout." },
    { 0 },
};

static void add_day(struct rc_buf *out, const char *name, int32_t day)
{
    char text[RC_DAY_TEXT];
    rc_buf_addf(out, "%s=%s\n", name, day == RC_DAY_NONE ? "none" : rc_format_day(day, text));
}

static void add_text(struct rc_buf *out, const char *name, const char *text)
{
    rc_buf_addf(out, "%s=%s\n", name, text ? text : "none");
}

static enum rc_code show(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    const struct params *given = job->params;
    RC_BUF_AUTO(out, 64 << 10);

    add_text(&out, "text", cfg->text);
    add_text(&out, "needed", cfg->needed);
    add_text(&out, "password", cfg->secret);
    add_text(&out, "url", cfg->url);
    rc_buf_addf(&out, "flag=%d\ncount=%lld\nshare=%g\nwait=%lld\nsize=%lld\ncolour=%s\n", cfg->flag,
                (long long)cfg->count, cfg->share, (long long)cfg->wait_ms,
                (long long)cfg->size_bytes, colours[cfg->colour]);
    add_day(&out, "day", cfg->day);
    for (size_t i = 0; i < cfg->list.len; i++)
        rc_buf_addf(&out, "list[%zu]=%s\n", i, cfg->list.items[i]);
    for (size_t i = 0; i < cfg->map.len; i++)
        rc_buf_addf(&out, "map.%s=%s\n", cfg->map.items[i].key, cfg->map.items[i].value);
    for (size_t i = 0; i < cfg->objects.len; i++) {
        const struct item *item = RC_OBJECT_AT(struct item, cfg->objects, i);
        rc_buf_addf(&out, "objects[%zu]=%s,%lld\n", i, item->name, (long long)item->days);
    }
    add_day(&out, "from", given->from);
    add_day(&out, "to", given->to);
    rc_buf_addf(&out, "loud=%d", given->loud);
    if (rc_buf_check(&out, err))
        return rc_context(err, "show the options");
    rc_job_say(job, out.data);
    return RC_OK;
}

/* Fails with the secret in its message, which must not come out. */
static enum rc_code reveal(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    rc_warn(job, "the password is '%s'", cfg->secret ? cfg->secret : "");
    return rc_fail(err, RC_DENIED, "password '%s' refused", cfg->secret ? cfg->secret : "");
}

static enum rc_code check(const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    if (cfg->flag && cfg->count == 0)
        return rc_fail(err, RC_INVALID, "flag needs a count above 0");
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "show",
      .summary = "Says each value.",
      .params = params,
      .params_size = sizeof(struct params),
      .run = show },
    { .name = "reveal", .summary = "Tries to give the secret away.", .run = reveal },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "options",
    .version = "1.0",
    .summary = "Has every type of option, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
    .check = check,
};
RC_PLUGIN_EXPORT(plugin)
