/*
 * 'run-core storage': objects by hand, wherever they lie. The commands have files of their own;
 * here is what surrounds each: configuration, stores, signals, and the end.
 */
#include <cli/storage.h>

#include <cli/arguments.h>
#include <cli/output.h>
#include <os/path.h>
#include <runtime/output.h>
#include <storage/remote.h>

#include <base/nearest.h>

#include <run-core/str.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OUT_LIMIT = 1024 * 1024, OUT_PIECE = 64 * 1024, RECORD_LIMIT = 64 * 1024 };

/* ---- signals --------------------------------------------------------------------------------- */

/* What a handler can reach. */
static struct core_cancel stop = CORE_CANCEL_INIT;
static volatile sig_atomic_t stop_signal;

static void on_stop_signal(int number)
{
    stop_signal = number;
    core_cancel_request(&stop, RC_CANCELLED);
}

/* The second signal finds the default again: it ends the process at once. */
static void take_stop_signals(void)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = on_stop_signal, .sa_flags = (int)SA_RESETHAND };

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < RC_ARRAY_LEN(numbers); i++) {
        struct sigaction before;

        /* Who started us may have wished that some are not heard, as nohup does. */
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            (void)sigaction(numbers[i], &action, NULL);
    }
}

/* ---- stores ---------------------------------------------------------------------------------- */

static bool describes_stores(const struct core_arguments *arguments)
{
    return arguments->endpoint || arguments->region || arguments->profile || arguments->anonymous ||
           arguments->storage_class;
}

static void describe_store(const struct core_arguments *arguments, struct core_store_settings *out)
{
    if (arguments->endpoint)
        out->endpoint = arguments->endpoint;
    if (arguments->region)
        out->region = arguments->region;
    if (arguments->storage_class)
        out->storage_class = arguments->storage_class;
    if (!arguments->profile && !arguments->anonymous)
        return;
    /* Whoever names credentials here means no others. */
    out->access_key_id = out->secret_access_key = out->session_token = NULL;
    out->role_arn = out->external_id = out->role_session_name = NULL;
    out->service_account_file = out->access_token = NULL;
    out->profile = arguments->profile;
    out->anonymous = arguments->anonymous;
}

static enum rc_code check_endpoint(const struct core_storage_command *command, struct rc_error *err)
{
    const char *endpoint = command->arguments->endpoint;
    const char *schemes[] = { "s3://", "gs://" };
    bool found[] = { false, false };

    if (!endpoint)
        return RC_OK;
    if (!rc_str_starts(endpoint, "http://") && !rc_str_starts(endpoint, "https://"))
        return rc_fail(err, RC_INVALID,
                       "'--endpoint %s': an endpoint is a URL that begins with http:// or https://",
                       endpoint);
    for (size_t i = 0; i < command->uri_count; i++)
        for (size_t k = 0; k < RC_ARRAY_LEN(schemes); k++)
            found[k] = found[k] || rc_str_starts(command->uris[i], schemes[k]);
    if (found[0] && found[1])
        return rc_fail(err, RC_INVALID,
                       "'--endpoint %s' cannot be that of both s3:// and gs://; describe the "
                       "stores in the configuration, under 'storage:'",
                       endpoint);
    return RC_OK;
}

static struct core_store_settings *find_store(struct core_store_settings *stores, size_t count,
                                              const char *name, bool is_bucket)
{
    for (size_t i = 0; i < count; i++)
        if (rc_str_eq(is_bucket ? stores[i].bucket : stores[i].name, name))
            return &stores[i];
    return NULL;
}

/* The configuration's stores, and of the buckets that are named here what the flags say. */
static enum rc_code make_stores(struct core_storage_command *command, size_t *count,
                                struct rc_error *err)
{
    const struct core_config *config = command->config;

    *count = config->store_count;
    command->stores = rc_calloc(*count + command->uri_count + 1, sizeof(*command->stores));
    if (*count > 0)
        memcpy(command->stores, config->stores, *count * sizeof(*command->stores));
    if (check_endpoint(command, err))
        return err->code;
    for (size_t i = 0; i < command->uri_count && describes_stores(command->arguments); i++) {
        struct rc_error ignored = RC_ERROR_INIT;
        bool is_bucket = !rc_str_starts(command->uris[i], "store://");
        struct core_store_settings *store;
        struct rc_uri parts;
        char *name;

        if (rc_uri_split(command->uris[i], &parts, &ignored) || parts.bucket_len == 0)
            continue;
        name = core_arena_strf(&command->arena, "%.*s", (int)parts.bucket_len, parts.bucket);
        store = find_store(command->stores, *count, name, is_bucket);
        if (!store && is_bucket) {
            store = &command->stores[(*count)++];
            store->name = store->bucket = name;
        }
        if (store)
            describe_store(command->arguments, store);
    }
    return RC_OK;
}

static void record(void *context, const struct core_http_record *request)
{
    RC_BUF_AUTO(text, RECORD_LIMIT);

    (void)context;
    core_http_record_text(request, &text);
    core_output_log(RC_LOG_DEBUG, NULL, 0, "%s", text.data);
}

/* ---- begin and end --------------------------------------------------------------------------- */

static enum rc_code read_words(struct core_storage_command *command, struct rc_error *err)
{
    const struct core_arguments *arguments = command->arguments;
    const char **uris =
        core_arena_alloc(&command->arena, (arguments->word_count + 1) * sizeof(*uris));

    for (size_t i = 0; i < arguments->word_count; i++)
        if (core_storage_word_to_uri(&command->arena, arguments->words[i], &uris[i], err))
            return err->code;
    command->uris = uris;
    command->uri_count = arguments->word_count;
    return RC_OK;
}

static enum rc_code open_storage(struct core_storage_command *command, struct rc_error *err)
{
    const struct core_settings *settings = &command->config->settings;
    size_t count;

    if (read_words(command, err) || make_stores(command, &count, err))
        return err->code;
    command->remote =
        core_remote_new(settings, command->log_level >= RC_LOG_DEBUG ? record : NULL, NULL);
    command->storage = core_storage_new(command->stores, count, command->remote, command->cancel);
    return RC_OK;
}

static int exit_status(const struct core_storage_command *command, enum rc_code code)
{
    if (code && stop_signal)
        return CORE_EXIT_SIGNAL + stop_signal;
    /* What a source had that its target cannot have is no fault of the usage. */
    if (code == RC_INVALID && !command->has_said)
        return CORE_EXIT_USAGE;
    return code || command->has_failed ? CORE_EXIT_FAILED : CORE_EXIT_OK;
}

static int finish(struct core_storage_command *command, enum rc_code code, struct rc_error *err)
{
    struct rc_error late = RC_ERROR_INIT;

    core_output_progress_end();
    /* The work ended because nobody wants to know more of it; what failed before that did so. */
    if (command->is_out_gone)
        return exit_status(command, RC_OK);
    if (core_storage_out_flush(command, &late) && !code) {
        code = command->is_out_gone ? RC_OK : late.code;
        *err = late;
    }
    if (code == RC_CANCELLED && stop_signal)
        (void)fprintf(stderr, "run-core: stopped by the signal %d\n", (int)stop_signal);
    else if (code && !command->has_said)
        (void)core_cli_complain(err);
    return exit_status(command, code);
}

enum rc_code core_storage_one_failed(struct core_storage_command *command, struct rc_error *err)
{
    struct rc_error late = RC_ERROR_INIT;

    if (command->uri_count == 1 || command->is_out_gone || err->code == RC_CANCELLED)
        return err->code;
    command->has_failed = true;
    if (core_storage_out_flush(command, &late)) {
        *err = late;
        return late.code;
    }
    (void)core_cli_complain(err);
    *err = (struct rc_error)RC_ERROR_INIT;
    return RC_OK;
}

int core_storage_command_run(const struct core_arguments *arguments, bool changes,
                             enum rc_code (*work)(struct core_storage_command *command,
                                                  struct rc_error *err))
{
    CORE_PROBLEMS_AUTO(problems);
    struct core_storage_command command = {
        .arguments = arguments,
        .cancel = &stop,
        .arena = CORE_ARENA_INIT,
        .out = RC_BUF_INIT(OUT_LIMIT),
        .config = core_config_load(core_arguments_config_path(arguments), &problems),
    };
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;
    int status = core_cli_report(&problems);

    if (status == CORE_EXIT_OK) {
        command.log_level = arguments->log_level.given ? arguments->log_level.level
                                                       : command.config->settings.log_level;
        core_output_init(NULL);
        (void)signal(SIGPIPE, SIG_IGN); /* the write tells, and nothing stays half done */
        if (changes)
            take_stop_signals();
        code = open_storage(&command, &err);
        if (!code)
            code = work(&command, &err);
        status = finish(&command, code, &err);
    }
    core_storage_free(command.storage);
    core_remote_free(command.remote);
    free(command.stores);
    core_config_free(command.config);
    rc_buf_clear(&command.out);
    core_arena_clear(&command.arena);
    return status;
}

/* ---- results --------------------------------------------------------------------------------- */

enum rc_code core_storage_out_flush(struct core_storage_command *command, struct rc_error *err)
{
    int failed;

    if (command->is_out_gone)
        return rc_fail(err, RC_CANCELLED, "nobody reads the result");
    if (rc_buf_check(&command->out, err))
        return rc_context(err, "the result");
    failed = core_output_result(STDOUT_FILENO, command->out.data, command->out.len);
    rc_buf_reset(&command->out);
    command->is_out_gone = failed == EPIPE;
    return failed ? rc_fail_errno(err, failed, "write the result to stdout") : RC_OK;
}

enum rc_code core_storage_out(struct core_storage_command *command, struct rc_error *err)
{
    if (command->out.len < OUT_PIECE && !isatty(STDOUT_FILENO))
        return RC_OK;
    return core_storage_out_flush(command, err);
}

static void add_name(struct rc_buf *out, const char *name)
{
    if (out->len > 0 && !strchr("{[\n", out->data[out->len - 1]))
        rc_buf_addc(out, ',');
    rc_buf_add_json(out, name, strlen(name));
    rc_buf_addc(out, ':');
}

void core_storage_add_text(struct rc_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    add_name(out, name);
    core_cli_add_json(out, value);
}

void core_storage_add_number(struct rc_buf *out, const char *name, int64_t value)
{
    add_name(out, name);
    rc_buf_addf(out, "%lld", (long long)value);
}

void core_storage_add_time(struct rc_buf *out, const char *name, int64_t unix_ms)
{
    char text[RC_TIME_TEXT];

    add_name(out, name);
    core_cli_add_json(out, unix_ms > 0 ? rc_format_time(unix_ms, text) : NULL);
}

/* ---- the command ----------------------------------------------------------------------------- */

static const struct core_command *const parts[] = {
    &core_command_storage_ls,
    &core_command_storage_stat,
    &core_command_storage_cat,
    &core_command_storage_cp,
    &core_command_storage_mv,
    &core_command_storage_sync,
    &core_command_storage_rm,
    &core_command_storage_sweep,
    &core_command_storage_mb,
    &core_command_storage_rb,
    NULL,
};

/* Its parts run by themselves, so this is a word that names none. */
static int run_storage(const struct core_arguments *arguments)
{
    const char *word = arguments->words[0];
    const char *names[RC_ARRAY_LEN(parts)];
    struct rc_error err = RC_ERROR_INIT;
    const char *nearest;
    size_t count = 0;

    for (; parts[count]; count++)
        names[count] = core_command_word(parts[count]);
    nearest = core_nearest(word, names, count);
    (void)rc_fail(&err, RC_INVALID, "'storage' has no command '%s'%s%s%s", word,
                  nearest ? "; did you mean '" : "; see 'run-core help storage",
                  nearest ? nearest : "", nearest ? "'?" : "'");
    return core_cli_complain(&err);
}

const struct core_command core_command_storage = {
    .name = "storage",
    .operands = "COMMAND",
    .summary = "Lists, copies, moves, reads and removes objects, in buckets and on this machine.",
    .details =
        "A place is s3://BUCKET/KEY, gs://BUCKET/KEY, file:///PATH or, as a plain path, a local "
        "file; keys are written as they are, without escapes. A place that ends with a slash, and "
        "a whole bucket, is a folder; so is NAME if something lies at NAME/. Stores of the "
        "configuration count, with their mapped buckets, and store://NAME/KEY lies in the one of "
        "that name; none is needed: credentials are looked for as the tools of AWS and Google do, "
        "and --endpoint, --region, --profile and "
        "--anonymous hold for every bucket that is named. With -v each HTTP request is logged. "
        "The exit status is 0 if all was done, 1 if something failed, and 2 for bad usage.",
    .parts = parts,
    .min_words = 1,
    .max_words = SIZE_MAX,
    .run = run_storage,
};
