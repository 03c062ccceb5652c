/*
 * 'run-core storage mb' and 'rb': buckets that are made, and empty ones that go. What lies in them
 * is the matter of the other commands.
 */
#include <cli/storage.h>

#include <cli/output.h>

#include <run-core/log.h>
#include <run-core/str.h>

/* What is done to each word. */
struct act {
    const char *name, *would, *done;
    enum rc_code (*run)(struct core_storage *storage, const char *uri, struct rc_error *err);
};

/* A slip in a key is not to end in another bucket than was meant. */
static enum rc_code check_word(const char *uri, struct rc_error *err)
{
    if (core_storage_is_root(uri) || rc_str_starts(uri, "file://"))
        return RC_OK;
    return rc_fail(err, RC_INVALID, "'%s' is a place in a bucket; name the bucket alone", uri);
}

static void add_done(struct core_storage_command *command, const struct act *act, const char *uri)
{
    const struct core_arguments *arguments = command->arguments;
    struct rc_buf *out = &command->out;

    if (arguments->json) {
        rc_buf_addc(out, '{');
        core_storage_add_text(out, "act", act->name);
        core_storage_add_text(out, "uri", uri);
        rc_buf_addf(out, ",\"dry_run\":%s}\n", arguments->dry_run ? "true" : "false");
    } else if (command->log_level >= RC_LOG_INFO) {
        rc_buf_addf(out, "%s '", arguments->dry_run ? act->would : act->done);
        core_cli_add_printable(out, uri);
        rc_buf_adds(out, "'\n");
    }
}

static enum rc_code for_each(struct core_storage_command *command, const struct act *act,
                             struct rc_error *err)
{
    for (size_t i = 0; i < command->uri_count; i++)
        if (check_word(command->uris[i], err))
            return err->code;
    for (size_t i = 0; i < command->uri_count; i++) {
        const char *uri = command->uris[i];

        if (!command->arguments->dry_run && act->run(command->storage, uri, err)) {
            if (core_storage_one_failed(command, err))
                return err->code;
            continue;
        }
        add_done(command, act, uri);
        if (core_storage_out(command, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- mb -------------------------------------------------------------------------------------- */

static enum rc_code make_all(struct core_storage_command *command, struct rc_error *err)
{
    static const struct act act = { "make", "would make", "made", core_storage_bucket_create };

    return for_each(command, &act, err);
}

static int run_mb(const struct core_arguments *arguments)
{
    return core_storage_command_run(arguments, /* changes = */ true, make_all);
}

const struct core_command core_command_storage_mb = {
    .name = "storage mb",
    .operands = "BUCKET...",
    .summary = "Makes buckets.",
    .details =
        "BUCKET is s3://NAME or gs://NAME; one that is there and yours is a success. It is made in "
        "the region of its store or of --region; at Google in the project that "
        "GOOGLE_CLOUD_PROJECT or the file of the credentials names. Of a local path it is a folder "
        "that only its owner enters. --json writes a line for each: {act, uri, dry_run}.",
    .flags = CORE_FLAGS_STORAGE | CORE_FLAG_DRY_RUN | CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = SIZE_MAX,
    .run = run_mb,
};

/* ---- rb -------------------------------------------------------------------------------------- */

static enum rc_code remove_all(struct core_storage_command *command, struct rc_error *err)
{
    static const struct act act = { "remove", "would remove", "removed",
                                    core_storage_bucket_remove };

    return for_each(command, &act, err);
}

static int run_rb(const struct core_arguments *arguments)
{
    return core_storage_command_run(arguments, /* changes = */ true, remove_all);
}

const struct core_command core_command_storage_rb = {
    .name = "storage rb",
    .operands = "BUCKET...",
    .summary = "Removes empty buckets.",
    .details = "One that holds anything stays, be it only an old version of an object: see "
               "'storage rm'. Of a local path it is a folder. --json is that of 'storage mb'.",
    .flags = CORE_FLAGS_STORAGE | CORE_FLAG_DRY_RUN | CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = SIZE_MAX,
    .run = run_rb,
};
