/*
 * Transfers a tree, or removes a list, as it is told to, and says each report.
 */
#include <run-core/plugin.h>

struct config {
    const char *source, *target, *skip, *token;
    struct rc_strs remove;
    bool move, extra, old, quiet, going;
    int when;
};

static const char *const times[] = { "always", "absent", "different", NULL };

static const struct rc_option options[] = {
    { RC_STR("source", struct config, source), .help = "A prefix." },
    { RC_STR("target", struct config, target), .help = "Another." },
    { RC_STR("skip", struct config, skip), .help = "A name that is left out." },
    { RC_STR("token", struct config, token),
      .help = "Where the token of a resumption is kept: a URI." },
    { RC_BOOL("quiet", struct config, quiet), .def = "false", .help = "Says no reports." },
    { RC_BOOL("going", struct config, going), .def = "false", .help = "Goes on after a failure." },
    { RC_LIST("remove", struct config, remove), .help = "URIs, in place of a tree." },
    { RC_BOOL("move", struct config, move), .def = "false", .help = "Removes the sources." },
    { RC_BOOL("extra", struct config, extra), .def = "false", .help = "Removes other targets." },
    { RC_BOOL("old", struct config, old), .def = "false", .help = "Knows of flags only." },
    { RC_ENUM("when", struct config, when, times), .def = "always", .help = "Which are copied." },
    { 0 },
};

struct work {
    struct rc_job *job;
    const struct config *config;
    size_t at;
    int tokens;
};

static bool wants(void *context, const struct rc_object *object)
{
    const struct work *work = context;

    return !work->config->skip || strcmp(object->name, work->config->skip) != 0;
}

static enum rc_code next(void *context, struct rc_transfer_item *item, bool *more,
                         struct rc_error *err)
{
    struct work *work = context;

    (void)err;
    *more = work->at < work->config->remove.len;
    if (*more)
        *item = (struct rc_transfer_item){ .source = work->config->remove.items[work->at++],
                                           .size_bytes = -1 };
    return RC_OK;
}

static void report(void *context, const struct rc_transfer_report *told)
{
    static const char *const acts[] = { "copied", "skipped", "removed" };
    const struct work *work = context;
    RC_STR_AUTO text = rc_strf("%s %s%s", acts[told->act],
                               told->item.source ? told->item.source : told->item.target,
                               told->err ? " failed" : "");

    rc_job_say(work->job, text);
}

static enum rc_code checkpoint(void *context, const char *token, struct rc_error *err)
{
    struct work *work = context;
    const char *uri = work->config->token;

    work->tokens++;
    if (!uri)
        return RC_OK;
    return rc_storage_put(work->job, uri, token, strlen(token), /* if_match = */ NULL, err);
}

/* The token that is kept, if there is one. */
static enum rc_code read_token(struct rc_job *job, const char *uri, struct rc_buf *out,
                               struct rc_error *err)
{
    enum rc_code code = uri ? rc_storage_get(job, uri, out, err) : RC_OK;

    return code == RC_NOT_FOUND ? RC_OK : code;
}

static unsigned flags_of(const struct config *cfg)
{
    return (cfg->move ? RC_TRANSFER_MOVE : 0u) | (cfg->extra ? RC_TRANSFER_REMOVE_EXTRA : 0u) |
           (cfg->going ? RC_TRANSFER_KEEP_GOING : 0u);
}

static enum rc_code run(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    struct work work = { .job = job, .config = cfg };
    RC_BUF_AUTO(token, 1 << 16);

    if (read_token(job, cfg->token, &token, err))
        return rc_context(err, "token");
    const struct rc_transfer transfer = {
        .struct_bytes = cfg->old ? offsetof(struct rc_transfer, source) : sizeof(transfer),
        .flags = flags_of(cfg),
        .source = cfg->source,
        .target = cfg->target,
        .when = (enum rc_transfer_when)cfg->when,
        .wants = cfg->remove.len ? NULL : wants,
        .next = cfg->remove.len ? next : NULL,
        .resume = token.len > 0 ? token.data : NULL,
        .report = cfg->quiet ? NULL : report,
        .checkpoint = checkpoint,
        .context = &work,
    };
    struct rc_transferred done;
    enum rc_code code = rc_transfer_run(job, &transfer, &done, err);
    RC_STR_AUTO text =
        rc_strf("objects=%lld bytes=%lld skipped=%lld removed=%lld failed=%lld%s",
                (long long)done.objects, (long long)done.bytes, (long long)done.skipped,
                (long long)done.removed, (long long)done.failed, work.tokens ? " tokens" : "");

    rc_job_say(job, text);
    return code ? rc_context(err, "transfer") : RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "run", .summary = "Does it.", .run = run },
    { 0 },
};

static const struct rc_plugin mover = {
    RC_PLUGIN_HEAD,     .name = "mover",
    .version = "1.0",   .summary = "Transfers objects.",
    .options = options, .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(mover)
