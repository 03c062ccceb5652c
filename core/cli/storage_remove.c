/*
 * 'run-core storage rm' and 'sweep': objects that go, and uploads that nobody finished.
 */
#include <cli/storage_transfer.h>

#include <cli/output.h>
#include <os/clock.h>
#include <storage/backend.h>

#include <run-core/log.h>
#include <run-core/str.h>
#include <run-core/time.h>

#include <string.h>

enum { DEFAULT_OLDER_MS = 86400000 };

/* The words that are left, and the listing of the folder that is being removed. */
struct removal {
    struct core_storage_transfers transfers;
    const char **uris; /* that are there */
    size_t count, next;
    struct rc_listing *listing; /* NULL: no folder is under way */
};

/* ---- what is there --------------------------------------------------------------------------- */

static enum rc_code add_word(struct removal *removal, const char *uri, struct rc_error *err)
{
    struct core_storage_command *command = removal->transfers.command;
    const struct core_arguments *arguments = command->arguments;
    bool is_folder = core_storage_is_folder_by_name(uri), is_object = false;

    if (core_storage_is_root(uri) && !arguments->force)
        return rc_fail(err, RC_INVALID,
                       "this would remove all of '%s'; give --force if that is meant", uri);
    if (!is_folder && core_storage_is_object(command, uri, &is_object, err))
        return err->code;
    if ((arguments->recursive || !is_object) &&
        core_storage_is_folder(command, uri, &is_folder, err))
        return err->code;
    if (is_folder && !arguments->recursive)
        return rc_fail(err, RC_INVALID,
                       "'%s' is a folder; give --recursive for all that lies below it", uri);
    if (is_object)
        removal->uris[removal->count++] = uri;
    if (is_folder)
        removal->uris[removal->count++] = core_storage_as_folder(&command->arena, uri);
    if (is_object || is_folder || arguments->force)
        return RC_OK;
    return rc_fail(err, RC_NOT_FOUND, "there is no '%s'", uri);
}

/* ---- items ----------------------------------------------------------------------------------- */

static enum rc_code next_below(struct removal *removal, struct rc_transfer_item *item, bool *more,
                               struct rc_error *err)
{
    const struct core_arguments *arguments = removal->transfers.command->arguments;
    const struct rc_object *object;

    do {
        if (core_listing_next(removal->listing, &object, err))
            return err->code;
    } while (object && !core_storage_is_wanted(arguments, object->name));
    *more = object != NULL;
    if (object) {
        item->source = object->uri;
        item->size_bytes = object->stat.size_bytes;
    }
    return RC_OK;
}

static void end_folder(struct removal *removal)
{
    core_listing_close(removal->listing);
    removal->listing = NULL;
}

static enum rc_code next_item(void *context, struct rc_transfer_item *item, bool *more,
                              struct rc_error *err)
{
    struct removal *removal = context;
    struct core_storage_command *command = removal->transfers.command;

    for (*more = false;;) {
        const char *uri;

        if (removal->listing && next_below(removal, item, more, err))
            return err->code;
        if (*more)
            return RC_OK;
        end_folder(removal);
        if (removal->next == removal->count)
            return RC_OK;
        uri = removal->uris[removal->next++];
        if (!core_storage_is_folder_by_name(uri)) {
            item->source = uri;
            *more = true;
            return RC_OK;
        }
        if (core_storage_list(command->storage, uri, NULL, &removal->listing, err))
            return err->code;
    }
}

/* ---- rm -------------------------------------------------------------------------------------- */

static void tell_failed(void *context, size_t index, const struct rc_error *err)
{
    struct core_storage_transfers *transfers = context;

    (void)index;
    core_storage_say_failed(transfers, err);
    transfers->total.failed++;
}

static void add_version(struct core_storage_command *command, const char *version)
{
    if (command->arguments->json) {
        rc_buf_addc(&command->out, '{');
        core_storage_add_text(&command->out, "act", "remove");
        core_storage_add_text(&command->out, "uri", command->uris[0]);
        core_storage_add_text(&command->out, "version", version);
        rc_buf_adds(&command->out, "}\n");
        return;
    }
    rc_buf_adds(&command->out, "would remove the version ");
    core_cli_add_printable(&command->out, version);
    rc_buf_adds(&command->out, " of '");
    core_cli_add_printable(&command->out, command->uris[0]);
    rc_buf_adds(&command->out, "'\n");
}

/* Versions of one object, which the mover knows nothing of. */
static enum rc_code remove_versions(struct core_storage_command *command, struct rc_error *err)
{
    const struct core_arguments *arguments = command->arguments;
    const struct rc_strs *versions = &arguments->version_ids;
    const char **uris = core_arena_alloc(&command->arena, versions->len * sizeof(*uris));
    struct core_storage_transfers transfers = { .command = command,
                                                .verb = "remove",
                                                .done = "removed" };
    const struct core_remove_report report = { tell_failed, &transfers };
    enum rc_code code = RC_OK;

    if (command->uri_count > 1 || arguments->recursive)
        return rc_fail(err, RC_INVALID,
                       "'--version-id' is of one object, and goes without '--recursive'");
    if (core_storage_transfers_open(&transfers, err))
        return err->code;
    for (size_t i = 0; i < versions->len; i++) {
        uris[i] = command->uris[0];
        if (arguments->dry_run)
            add_version(command, versions->items[i]);
    }
    if (!arguments->dry_run)
        code = core_storage_remove_with(command->storage, uris, versions->items, versions->len,
                                        &report, err);
    if (!code)
        transfers.total.removed = (int64_t)versions->len - transfers.total.failed;
    command->has_failed = transfers.total.failed > 0;
    return core_storage_transfers_end(&transfers, code, err);
}

static enum rc_code remove_all(struct core_storage_command *command, struct rc_error *err)
{
    const struct core_arguments *arguments = command->arguments;
    struct removal removal = {
        .transfers = { .command = command, .verb = "remove", .done = "removed" },
        .uris = core_arena_alloc(&command->arena, 2 * command->uri_count * sizeof(char *)),
    };
    enum rc_code code;

    if (arguments->version_ids.len > 0)
        return remove_versions(command, err);
    if ((arguments->include.len > 0 || arguments->exclude.len > 0) && !arguments->recursive)
        return rc_fail(err, RC_INVALID,
                       "'--include' and '--exclude' choose among what lies below a folder; give "
                       "--recursive");
    if (core_storage_transfers_open(&removal.transfers, err))
        return err->code;
    for (size_t i = 0; i < command->uri_count; i++)
        if (add_word(&removal, command->uris[i], err))
            return err->code;
    code = core_storage_transfer_list(&removal.transfers, next_item, &removal, err);
    end_folder(&removal);
    return core_storage_transfers_end(&removal.transfers, code, err);
}

static int run_rm(const struct core_arguments *arguments)
{
    return core_storage_command_run(arguments, /* changes = */ true, remove_all);
}

const struct core_command core_command_storage_rm = {
    .name = "storage rm",
    .operands = "PLACE...",
    .summary = "Removes objects.",
    .details =
        "With --recursive NAME is the object NAME and all that lies below NAME/. All words are "
        "looked at before anything goes: what is not there, a folder without --recursive, and a "
        "whole bucket or file:/// without --force end the command. Local folders stay, empty. Of "
        "an object with versions the current one goes, and the others stay. Patterns and --json "
        "are those of 'storage cp'.",
    .flags = CORE_FLAGS_STORAGE | CORE_FLAG_RECURSIVE | CORE_FLAG_REMOVE_ALL | CORE_FLAG_INCLUDE |
             CORE_FLAG_EXCLUDE | CORE_FLAG_VERSION_IDS | CORE_FLAG_DRY_RUN | CORE_FLAG_WIDTH |
             CORE_FLAG_KEEP_GOING | CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = SIZE_MAX,
    .run = run_rm,
};

/* ---- sweep ----------------------------------------------------------------------------------- */

/* A place that is swept, in a dry run. */
struct looked_at {
    struct core_storage_command *command;
    const char *prefix;
};

static void tell_pending(void *context, const char *name, int64_t begun_unix_ms)
{
    const struct looked_at *at = context;
    struct rc_buf *out = &at->command->out;
    struct rc_error ignored = RC_ERROR_INIT;
    char when[RC_TIME_TEXT];

    RC_STR_AUTO uri = rc_strf("%s%s", at->prefix, name);
    if (at->command->arguments->json) {
        rc_buf_addc(out, '{');
        core_storage_add_text(out, "act", "give up");
        core_storage_add_text(out, "uri", uri);
        core_storage_add_time(out, "begun", begun_unix_ms);
        rc_buf_adds(out, "}\n");
    } else {
        rc_buf_adds(out, "would give up the upload to '");
        core_cli_add_printable(out, uri);
        rc_buf_addf(out, "' of %s\n", rc_format_time(begun_unix_ms, when));
    }
    /* The end of the command says why, or nothing where nobody reads any more. */
    if (core_storage_out(at->command, &ignored))
        core_cancel_request(at->command->cancel, RC_CANCELLED);
}

static void add_swept(struct core_storage_command *command, int64_t swept)
{
    bool dry_run = command->arguments->dry_run;

    if (command->arguments->json)
        rc_buf_addf(&command->out, "{\"swept\":%lld,\"dry_run\":%s}\n", (long long)swept,
                    dry_run ? "true" : "false");
    else if (command->log_level >= RC_LOG_INFO)
        rc_buf_addf(&command->out, "%s %lld unfinished upload%s\n",
                    dry_run ? "would have given up" : "gave up", (long long)swept,
                    swept == 1 ? "" : "s");
}

static enum rc_code sweep_all(struct core_storage_command *command, struct rc_error *err)
{
    const char *older = command->arguments->older;
    int64_t older_ms = DEFAULT_OLDER_MS, swept = 0;
    enum rc_code code = RC_OK;

    if (older && !rc_parse_duration(older, &older_ms))
        return rc_fail(err, RC_INVALID, "'--older %s': a duration is written as 30m, 12h, 1d, ...",
                       older);
    for (size_t i = 0; i < command->uri_count && !code; i++) {
        const char *uri = command->uris[i];
        struct looked_at at = {
            .command = command,
            .prefix =
                core_storage_is_root(uri) ? core_storage_as_folder(&command->arena, uri) : uri,
        };
        const struct core_sweep sweep = {
            .before_unix_ms = core_clock_real_unix_ms() - older_ms,
            .only_looks = command->arguments->dry_run,
            .tell = command->arguments->dry_run ? tell_pending : NULL,
            .context = &at,
        };
        int64_t here = 0;

        code = core_storage_sweep(command->storage, at.prefix, &sweep, &here, err);
        swept += here;
    }
    /* Also before a failure: those are gone. */
    add_swept(command, swept);
    return code;
}

static int run_sweep(const struct core_arguments *arguments)
{
    return core_storage_command_run(arguments, /* changes = */ true, sweep_all);
}

const struct core_command core_command_storage_sweep = {
    .name = "storage sweep",
    .operands = "PLACE...",
    .summary = "Gives up uploads that were begun and never finished, whose parts cost space.",
    .details = "PLACE is a bucket or the begin of names in it. An upload that goes on is hit too, "
               "if it was begun longer ago than --older. --json writes {swept, dry_run}, behind "
               "what a dry run has found: {act, uri, begun}.",
    .flags = CORE_FLAGS_STORAGE | CORE_FLAG_OLDER | CORE_FLAG_DRY_RUN | CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = SIZE_MAX,
    .run = run_sweep,
};
