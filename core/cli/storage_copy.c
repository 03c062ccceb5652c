/*
 * 'run-core storage cp', 'mv' and 'sync': from the words to what is copied where. The rules are
 * those of cp(1), where they make sense for keys.
 */
#include <cli/storage_stream.h>
#include <cli/storage_transfer.h>
#include <storage/backend.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pair {
    const char *source, *target;
};

/* What the words come to. */
struct plan {
    struct core_storage_transfers transfers;
    struct pair *objects, *trees; /* room for one of each for every word */
    size_t object_count, tree_count;
    size_t next; /* of the objects */
};

/* ---- single objects -------------------------------------------------------------------------- */

/*
 * Of a list the mover does not look at targets, and in a dry run not at sources either. On a
 * terminal the size of a single object is worth a request: it tells how far the copy is.
 */
static enum rc_code look_ahead(struct plan *plan, const struct pair *pair,
                               struct rc_transfer_item *item, bool *skip, struct rc_error *err)
{
    struct core_storage_command *command = plan->transfers.command;
    bool dry_run = command->arguments->dry_run;
    struct rc_stat stat;

    if (command->arguments->if_absent && core_storage_is_object(command, pair->target, skip, err))
        return err->code;
    if (*skip || !(dry_run || (plan->object_count == 1 && isatty(STDERR_FILENO))))
        return RC_OK;
    if (core_storage_stat(command->storage, pair->source, &stat, err) == RC_OK)
        item->size_bytes = stat.size_bytes;
    else if (dry_run) /* else the mover says it better */
        return err->code;
    return RC_OK;
}

static enum rc_code next_object(void *context, struct rc_transfer_item *item, bool *more,
                                struct rc_error *err)
{
    struct plan *plan = context;

    while (plan->next < plan->object_count) {
        const struct pair *pair = &plan->objects[plan->next++];
        bool skip = false;

        if (look_ahead(plan, pair, item, &skip, err))
            return err->code;
        if (skip) {
            plan->transfers.total.skipped++;
            continue;
        }
        item->source = pair->source;
        item->target = pair->target;
        *more = true;
        return RC_OK;
    }
    *more = false;
    return RC_OK;
}

/* Of two with one target only one would be left. */
static int compare_targets(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->target, ((const struct pair *)b)->target);
}

static enum rc_code check_targets(struct plan *plan, struct rc_error *err)
{
    size_t count = plan->object_count;
    struct pair *sorted = rc_malloc((count + 1) * sizeof(*sorted));
    enum rc_code code = RC_OK;

    memcpy(sorted, plan->objects, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_targets);
    for (size_t i = 1; i < count && !code; i++)
        if (strcmp(sorted[i - 1].target, sorted[i].target) == 0)
            code = rc_fail(err, RC_INVALID, "'%s' and '%s' would both become '%s'",
                           sorted[i - 1].source, sorted[i].source, sorted[i].target);
    free(sorted);
    return code;
}

/* ---- the plan -------------------------------------------------------------------------------- */

/* A target may be one that can be written but not listed; then it is no folder that is known. */
static enum rc_code is_target_folder(struct core_storage_command *command, const char *target,
                                     bool *is_folder, struct rc_error *err)
{
    enum rc_code code;

    *is_folder = core_storage_is_folder_by_name(target);
    if (*is_folder)
        return RC_OK;
    code = core_storage_is_folder(command, target, is_folder, err);
    return code == RC_DENIED || code == RC_NOT_FOUND ? RC_OK : code;
}

static const char *base_name(const char *uri)
{
    const char *slash = strrchr(uri, '/');

    return slash ? slash + 1 : uri;
}

/* Where a source of that name goes: into the target, or it becomes the target. */
static const char *target_of(struct plan *plan, const char *source, const char *target, bool into)
{
    struct core_arena *arena = &plan->transfers.command->arena;

    if (!into || core_storage_is_folder_by_name(source))
        return target;
    return core_arena_strf(arena, "%s%s", core_storage_as_folder(arena, target), base_name(source));
}

static enum rc_code plan_source(struct plan *plan, const char *source, const char *target,
                                bool into, struct rc_error *err)
{
    struct core_storage_command *command = plan->transfers.command;
    bool is_folder = core_storage_is_folder_by_name(source), is_object = !is_folder;
    bool recursive = command->arguments->recursive;

    if (is_folder && !recursive)
        return rc_fail(err, RC_INVALID,
                       "'%s' is a folder; give --recursive for all that lies below it", source);
    if (recursive && core_storage_is_folder(command, source, &is_folder, err))
        return err->code;
    if (recursive && is_object && core_storage_is_object(command, source, &is_object, err))
        return err->code;
    if (!is_folder && !is_object)
        return rc_fail(err, RC_NOT_FOUND, "there is neither an object '%s' nor anything below it",
                       source);
    target = target_of(plan, source, target, into);
    if (is_object)
        plan->objects[plan->object_count++] = (struct pair){ source, target };
    if (is_folder)
        plan->trees[plan->tree_count++] =
            (struct pair){ core_storage_as_folder(&command->arena, source),
                           core_storage_as_folder(&command->arena, target) };
    return RC_OK;
}

static enum rc_code check_flags(const struct plan *plan, struct rc_error *err)
{
    const struct core_arguments *arguments = plan->transfers.command->arguments;

    if ((arguments->include.len > 0 || arguments->exclude.len > 0) && !arguments->recursive)
        return rc_fail(err, RC_INVALID,
                       "'--include' and '--exclude' choose among what lies below a folder; give "
                       "--recursive");
    if (arguments->resume && (plan->tree_count != 1 || plan->object_count > 0))
        return rc_fail(err, RC_INVALID, "'--resume' is of one folder and nothing else");
    return RC_OK;
}

static enum rc_code make_plan(struct plan *plan, struct rc_error *err)
{
    struct core_storage_command *command = plan->transfers.command;
    size_t sources = command->uri_count - 1;
    const char *target = command->uris[sources];
    bool into;

    plan->objects = core_arena_alloc(&command->arena, sources * sizeof(*plan->objects));
    plan->trees = core_arena_alloc(&command->arena, sources * sizeof(*plan->trees));
    for (size_t i = 0; i <= sources; i++)
        if (strcmp(command->uris[i], "-") == 0)
            return rc_fail(err, RC_INVALID,
                           "'-', which is stdin or stdout, goes with one place and with 'cp' only");
    if (is_target_folder(command, target, &into, err))
        return err->code;
    if (sources > 1 && !into)
        return rc_fail(err, RC_INVALID,
                       "'%s' is no folder, and several sources need one; end it with a slash",
                       target);
    for (size_t i = 0; i < sources; i++)
        if (plan_source(plan, command->uris[i], target, into, err))
            return err->code;
    if (check_targets(plan, err))
        return err->code;
    return check_flags(plan, err);
}

/* ---- carrying it out ------------------------------------------------------------------------- */

/* A folder was meant, without --recursive: its name is none of an object. */
static void hint_at_folder(struct plan *plan)
{
    struct core_storage_command *command = plan->transfers.command;

    for (size_t i = 0; i < plan->object_count && !command->arguments->recursive; i++) {
        struct rc_error ignored = RC_ERROR_INIT;
        bool is_folder;

        if (core_storage_is_folder(command, plan->objects[i].source, &is_folder, &ignored))
            return;
        if (!is_folder)
            continue;
        (void)fprintf(stderr,
                      "run-core: '%s' is a folder; give --recursive for all that lies below it\n",
                      plan->objects[i].source);
        return;
    }
}

static enum rc_code carry_out(struct plan *plan, struct rc_error *err)
{
    if (plan->object_count > 0 &&
        core_storage_transfer_list(&plan->transfers, next_object, plan, err))
        return err->code;
    for (size_t i = 0; i < plan->tree_count; i++)
        if (core_storage_transfer_tree(&plan->transfers, plan->trees[i].source,
                                       plan->trees[i].target, err))
            return err->code;
    return RC_OK;
}

static enum rc_code copy_with(struct core_storage_command *command, const char *verb,
                              const char *done, unsigned flags, struct rc_error *err)
{
    struct plan plan = {
        .transfers = { .command = command, .verb = verb, .done = done, .flags = flags },
    };
    enum rc_code code;

    if (command->arguments->if_absent)
        plan.transfers.when = RC_TRANSFER_IF_ABSENT;
    if (core_storage_transfers_open(&plan.transfers, err) || make_plan(&plan, err))
        return err->code;
    code = carry_out(&plan, err);
    code = core_storage_transfers_end(&plan.transfers, code, err);
    if (code == RC_NOT_FOUND)
        hint_at_folder(&plan);
    return code;
}

/* ---- cp -------------------------------------------------------------------------------------- */

static enum rc_code copy_from_stdin(struct core_storage_command *command, struct rc_error *err)
{
    const char *target = command->uris[1];
    struct core_storage_transfers transfers = { .command = command,
                                                .verb = "copy",
                                                .done = "copied" };
    struct rc_put_options options = { .struct_bytes = sizeof(options), .size_bytes = -1 };
    int64_t bytes = 0;
    enum rc_code code = RC_OK;
    bool is_folder;

    if (core_storage_transfers_open(&transfers, err) ||
        is_target_folder(command, target, &is_folder, err))
        return err->code;
    if (is_folder)
        return rc_fail(err, RC_INVALID, "'%s' is a folder; what comes from stdin needs a name",
                       target);
    options.if_match = command->arguments->if_absent ? RC_IF_ABSENT : NULL;
    options.attributes = &transfers.attributes;
    if (command->arguments->dry_run)
        core_storage_add_would(
            &transfers, RC_TRANSFER_COPY,
            &(struct rc_transfer_item){ .source = "-", .target = target, .size_bytes = -1 });
    else
        code = core_storage_from_stdin(command, target, &options, &bytes, err);
    if (code == RC_CONFLICT && options.if_match) {
        transfers.total.skipped++;
        code = RC_OK;
    } else if (!code) {
        transfers.total.objects++;
        transfers.total.bytes += bytes;
    }
    return core_storage_transfers_end(&transfers, code, err);
}

/* One version of an object, which the mover knows nothing of. */
static enum rc_code copy_version(struct core_storage_command *command, struct rc_error *err)
{
    const struct core_arguments *arguments = command->arguments;
    struct core_storage_transfers transfers = { .command = command,
                                                .verb = "copy",
                                                .done = "copied" };
    struct rc_transfer_item item = { .source = command->uris[0], .target = command->uris[1] };
    struct core_copy_options options = { .size_bytes = -1 };
    struct rc_stat stat;
    enum rc_code code;
    bool into;

    if (command->uri_count != 2 || arguments->recursive || arguments->resume ||
        arguments->limit_rate || core_storage_is_folder_by_name(item.source))
        return rc_fail(err, RC_INVALID,
                       "'--version-id' is of one object, and goes without '--recursive', "
                       "'--resume' and '--limit-rate'");
    if (core_storage_transfers_open(&transfers, err) ||
        is_target_folder(command, item.target, &into, err) ||
        core_storage_stat_with(command->storage, item.source, arguments->version_id, &stat, NULL,
                               err))
        return err->code;
    if (into)
        item.target = core_arena_strf(&command->arena, "%s%s",
                                      core_storage_as_folder(&command->arena, item.target),
                                      base_name(item.source));
    item.size_bytes = options.size_bytes = stat.size_bytes;
    options.if_match = arguments->if_absent ? RC_IF_ABSENT : NULL;
    options.attributes = transfers.has_attributes ? &transfers.attributes : NULL;
    if (arguments->dry_run) {
        core_storage_add_would(&transfers, RC_TRANSFER_COPY, &item);
        code = RC_OK;
    } else {
        code = core_storage_copy_with(command->storage, item.source, arguments->version_id,
                                      item.target, &options, NULL, err);
    }
    if (code == RC_CONFLICT && options.if_match) {
        transfers.total.skipped++;
        code = RC_OK;
    } else if (!code) {
        transfers.total.objects++;
        transfers.total.bytes += stat.size_bytes;
    }
    return core_storage_transfers_end(&transfers, code, err);
}

static enum rc_code copy_all(struct core_storage_command *command, struct rc_error *err)
{
    static const struct core_storage_part whole = { .len_bytes = -1 };
    bool is_pair = command->uri_count == 2;

    if (is_pair && strcmp(command->uris[1], "-") == 0)
        return core_storage_to_stdout(command, command->uris[0], &whole, err);
    if (command->arguments->version_id)
        return copy_version(command, err);
    if (is_pair && strcmp(command->uris[0], "-") == 0)
        return copy_from_stdin(command, err);
    return copy_with(command, "copy", "copied", 0, err);
}

static int run_cp(const struct core_arguments *arguments)
{
    return core_storage_command_run(arguments, /* changes = */ true, copy_all);
}

/* Of what all three take. */
#define COPY_FLAGS                                                                                 \
    (CORE_FLAGS_STORAGE | CORE_FLAG_DRY_RUN | CORE_FLAG_JSON | CORE_FLAG_INCLUDE |                 \
     CORE_FLAG_EXCLUDE | CORE_FLAG_STORAGE_CLASS | CORE_FLAG_CONTENT_TYPE | CORE_FLAG_METADATA |   \
     CORE_FLAG_WIDTH | CORE_FLAG_LIMIT_RATE | CORE_FLAG_KEEP_GOING | CORE_FLAG_RESUME)

const struct core_command core_command_storage_cp = {
    .name = "storage cp",
    .operands = "SOURCE... TARGET",
    .summary = "Copies objects, between any two stores.",
    .details =
        "A target that is a folder takes each source under its own name; any other becomes the "
        "copy. With --recursive NAME is the object NAME and all that lies below NAME/, while "
        "NAME/, and a whole bucket, is only what lies in it. '-' is stdin as the source and stdout "
        "as the target. Patterns are held against the name below the folder, in which * matches "
        "slashes too; what is included is then excluded. --content-type and --metadata take the "
        "place of all that the source has of such; without them it goes along between stores, and "
        "no type is guessed from a name. Of a local folder, links to files count as those files; "
        "links to folders, and what is neither, are left out and counted at the end. Many objects "
        "are copied at once, and "
        "each is verified. "
        "--json ends with {objects, bytes, skipped, removed, failed, seconds, dry_run, error}.",
    .flags = COPY_FLAGS | CORE_FLAG_RECURSIVE | CORE_FLAG_IF_ABSENT | CORE_FLAG_VERSION_ID,
    .min_words = 2,
    .max_words = SIZE_MAX,
    .run = run_cp,
};

/* ---- mv -------------------------------------------------------------------------------------- */

static enum rc_code move_all(struct core_storage_command *command, struct rc_error *err)
{
    return copy_with(command, "move", "moved", RC_TRANSFER_MOVE, err);
}

static int run_mv(const struct core_arguments *arguments)
{
    return core_storage_command_run(arguments, /* changes = */ true, move_all);
}

const struct core_command core_command_storage_mv = {
    .name = "storage mv",
    .operands = "SOURCE... TARGET",
    .summary = "Moves objects: copies them, and removes each source once its copy is verified.",
    .details = "As 'storage cp'. Inside one store the store moves. Local folders stay, empty.",
    .flags = COPY_FLAGS | CORE_FLAG_RECURSIVE | CORE_FLAG_IF_ABSENT,
    .min_words = 2,
    .max_words = SIZE_MAX,
    .run = run_mv,
};

/* ---- sync ------------------------------------------------------------------------------------ */

static enum rc_code check_sync(struct core_storage_command *command, struct rc_error *err)
{
    const char *source = command->uris[0];
    bool is_folder;

    if (core_storage_is_folder(command, source, &is_folder, err))
        return err->code;
    /* With --delete a slip would empty the target. */
    return is_folder ? RC_OK
                     : rc_fail(err, RC_NOT_FOUND, "there is nothing below '%s'",
                               core_storage_as_folder(&command->arena, source));
}

static enum rc_code read_compare(const struct core_arguments *arguments, int *out,
                                 struct rc_error *err)
{
    static const char *const names[] = {
        [RC_COMPARE_AUTO] = "auto",  [RC_COMPARE_SIZE] = "size",        [RC_COMPARE_ETAG] = "etag",
        [RC_COMPARE_TIME] = "mtime", [RC_COMPARE_CONTENT] = "checksum",
    };
    const char *name = arguments->compare;

    if (!name && arguments->checksum)
        name = names[RC_COMPARE_CONTENT];
    if (name && arguments->checksum && strcmp(name, names[RC_COMPARE_CONTENT]) != 0)
        return rc_fail(err, RC_INVALID, "'--checksum' is '--compare checksum', not '%s'", name);
    for (size_t i = 0; name && i < RC_ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0) {
            *out = (int)i;
            return RC_OK;
        }
    return name ? rc_fail(err, RC_INVALID,
                          "'--compare %s': it is auto, size, etag, mtime or checksum", name)
                : RC_OK;
}

/* What is removed, and what keeps a slip from emptying the target. */
static enum rc_code read_delete(const struct core_arguments *arguments,
                                struct core_storage_transfers *out, struct rc_error *err)
{
    if (!arguments->remove_extra && (arguments->max_delete || arguments->allow_empty))
        return rc_fail(err, RC_INVALID, "'--max-delete' and '--allow-empty' go with '--delete'");
    if (arguments->max_delete &&
        (!rc_parse_int(arguments->max_delete, &out->max_removed) || out->max_removed < 1))
        return rc_fail(err, RC_INVALID, "'--max-delete %s': it is a number from 1 on",
                       arguments->max_delete);
    if (arguments->remove_extra)
        out->flags |= RC_TRANSFER_REMOVE_EXTRA;
    if (arguments->remove_extra && !arguments->allow_empty)
        out->flags |= RC_TRANSFER_NOT_FROM_EMPTY;
    return RC_OK;
}

static enum rc_code sync_all(struct core_storage_command *command, struct rc_error *err)
{
    struct core_storage_transfers transfers = {
        .command = command,
        .verb = "copy",
        .done = "copied",
        .when = RC_TRANSFER_IF_DIFFERENT,
    };
    enum rc_code code;

    if (read_compare(command->arguments, &transfers.compare, err) ||
        read_delete(command->arguments, &transfers, err) ||
        core_storage_transfers_open(&transfers, err) || check_sync(command, err))
        return err->code;
    code = core_storage_transfer_tree(
        &transfers, core_storage_as_folder(&command->arena, command->uris[0]),
        core_storage_as_folder(&command->arena, command->uris[1]), err);
    if (code == RC_CONFLICT && transfers.flags & RC_TRANSFER_NOT_FROM_EMPTY &&
        transfers.total.found == 0)
        code = rc_context(err, "--delete without --allow-empty");
    return core_storage_transfers_end(&transfers, code, err);
}

static int run_sync(const struct core_arguments *arguments)
{
    return core_storage_command_run(arguments, /* changes = */ true, sync_all);
}

const struct core_command core_command_storage_sync = {
    .name = "storage sync",
    .operands = "SOURCE TARGET",
    .summary = "Makes a folder like another: copies what is missing or different.",
    .details =
        "Both are folders, with a slash or without. Different is what has another size or content; "
        "where the content cannot be told from what the stores say, an older copy. A file that has "
        "got a former content back, with its former time and the same size, is only found with "
        "--checksum. Nothing is "
        "removed without --delete, and then after all copies and only if none has failed; nothing "
        "at all happens if the source is not there. What "
        "--include and --exclude leave out is left alone at the target, too.",
    .flags = COPY_FLAGS | CORE_FLAG_DELETE | CORE_FLAG_MAX_DELETE | CORE_FLAG_ALLOW_EMPTY |
             CORE_FLAG_COMPARE | CORE_FLAG_CHECKSUM,
    .min_words = 2,
    .max_words = 2,
    .run = run_sync,
};
