/*
 * Runs the mover for the commands that change something. What they move is decided by them; here
 * are the flags that all share, what is said on the way, and the result.
 */
#include <cli/storage_transfer.h>

#include <cli/output.h>
#include <os/clock.h>
#include <os/file.h>
#include <runtime/output.h>

#include <run-core/str.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_WIDTH = 1024,
    TOKEN_LIMIT = 256 * 1024,
    TOKEN_MODE = 0600, /* what it says of an upload may be the right to write it */
    LINE_LIMIT = 256 * 1024,
    MIB = 1 << 20,
};

/* ---- flags ----------------------------------------------------------------------------------- */

static enum rc_code read_pair(struct core_arena *arena, const char *text, struct rc_pair *out,
                              struct rc_error *err)
{
    const char *equals = strchr(text, '=');
    char *key;

    if (!equals || equals == text)
        return rc_fail(err, RC_INVALID, "'--metadata %s': metadata is written as KEY=VALUE", text);
    key = core_arena_strf(arena, "%.*s", (int)(equals - text), text);
    for (char *c = key; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    *out = (struct rc_pair){ .key = key, .value = equals + 1 };
    return RC_OK;
}

enum rc_code core_storage_read_attributes(struct core_storage_command *command,
                                          struct rc_attributes *out, struct rc_error *err)
{
    const struct core_arguments *arguments = command->arguments;
    size_t count = arguments->metadata.len;
    struct rc_pair *pairs = core_arena_alloc(&command->arena, (count + 1) * sizeof(*pairs));

    for (size_t i = 0; i < count; i++)
        if (read_pair(&command->arena, arguments->metadata.items[i], &pairs[i], err))
            return err->code;
    *out = (struct rc_attributes){
        .content_type = arguments->content_type,
        .metadata = { .len = count, .items = pairs },
    };
    return RC_OK;
}

enum rc_code core_storage_transfers_open(struct core_storage_transfers *transfers,
                                         struct rc_error *err)
{
    const struct core_arguments *arguments = transfers->command->arguments;

    transfers->began_mono_ms = core_clock_mono_ms();
    transfers->has_attributes = arguments->content_type || arguments->metadata.len > 0;
    if (core_storage_read_attributes(transfers->command, &transfers->attributes, err))
        return err->code;
    if (arguments->width && (!rc_parse_int(arguments->width, &transfers->width) ||
                             transfers->width < 1 || transfers->width > MOST_WIDTH))
        return rc_fail(err, RC_INVALID, "'--width %s': it is a number from 1 to %d",
                       arguments->width, MOST_WIDTH);
    if (arguments->limit_rate && (!rc_parse_size(arguments->limit_rate, &transfers->bytes_per_s) ||
                                  transfers->bytes_per_s < 1))
        return rc_fail(err, RC_INVALID,
                       "'--limit-rate %s': a rate is written as 500kB, 10MiB, ... a second",
                       arguments->limit_rate);
    if (arguments->keep_going)
        transfers->flags |= RC_TRANSFER_KEEP_GOING;
    if (arguments->dry_run)
        transfers->flags |= RC_TRANSFER_CHECK;
    return RC_OK;
}

/* ---- on the way ------------------------------------------------------------------------------ */

/* One transfer. */
struct run {
    struct core_storage_transfers *transfers;
    core_storage_next_fn *next;
    void *context;
    const char *resume_path; /* NULL: how far it is need not be kept */
};

static bool wants(void *context, const struct rc_object *object)
{
    const struct run *run = context;

    return core_storage_is_wanted(run->transfers->command->arguments, object->name);
}

static void count_left_out(void *context, const char *name, enum core_left_out_kind kind)
{
    struct core_storage_transfers *transfers = context;

    if (core_storage_is_wanted(transfers->command->arguments, name))
        transfers->left_out[kind]++;
}

static enum rc_code next(void *context, struct rc_transfer_item *item, bool *more,
                         struct rc_error *err)
{
    const struct run *run = context;

    return run->next(run->context, item, more, err);
}

void core_storage_say_failed(struct core_storage_transfers *transfers, const struct rc_error *err)
{
    core_output_progress_end();
    (void)core_cli_complain(err);
    if (transfers->said_count < CORE_STORAGE_SAID)
        transfers->said[transfers->said_count++] = *err;
}

void core_storage_add_would(const struct core_storage_transfers *transfers,
                            enum rc_transfer_act act, const struct rc_transfer_item *item)
{
    struct rc_buf *out = &transfers->command->out;
    bool is_copy = act == RC_TRANSFER_COPY;
    const char *verb = is_copy ? transfers->verb : "remove";
    const char *place = item->source ? item->source : item->target;

    if (transfers->command->arguments->json) {
        rc_buf_addc(out, '{');
        core_storage_add_text(out, "act", verb);
        core_storage_add_text(out, is_copy ? "source" : "uri", place);
        core_storage_add_text(out, "target", is_copy ? item->target : NULL);
        if (item->size_bytes >= 0)
            core_storage_add_number(out, "size", item->size_bytes);
        rc_buf_adds(out, "}\n");
        return;
    }
    rc_buf_addf(out, "would %s '", verb);
    core_cli_add_printable(out, place);
    if (is_copy) {
        rc_buf_adds(out, "' to '");
        core_cli_add_printable(out, item->target);
    }
    rc_buf_adds(out, "'\n");
}

static void log_act(const struct core_storage_transfers *transfers,
                    const struct rc_transfer_report *report)
{
    const struct rc_transfer_item *item = &report->item;
    const char *place = item->source ? item->source : item->target;

    if (report->act == RC_TRANSFER_COPY)
        core_output_log(RC_LOG_DEBUG, NULL, 0, "%s '%s' to '%s'", transfers->done, item->source,
                        item->target);
    else
        core_output_log(RC_LOG_DEBUG, NULL, 0, "%s '%s'",
                        report->act == RC_TRANSFER_SKIP ? "skipped" : "removed", place);
}

static void report(void *context, const struct rc_transfer_report *report)
{
    const struct run *run = context;
    struct core_storage_transfers *transfers = run->transfers;
    struct core_storage_command *command = transfers->command;
    struct rc_error ignored = RC_ERROR_INIT;

    if (report->err) {
        transfers->copies_failed |= report->act == RC_TRANSFER_COPY;
        core_storage_say_failed(transfers, report->err);
        return;
    }
    /* Of what the store has moved by itself the size is known only now. */
    if (report->act == RC_TRANSFER_COPY && report->item.size_bytes < 0)
        transfers->total.bytes += report->written.size_bytes;
    if (command->log_level >= RC_LOG_DEBUG)
        log_act(transfers, report);
    if (!(transfers->flags & RC_TRANSFER_CHECK) || report->act == RC_TRANSFER_SKIP)
        return;
    core_storage_add_would(transfers, report->act, &report->item);
    /* The end of the command says why, or nothing where nobody reads any more. */
    if (core_storage_out(command, &ignored))
        core_cancel_request(command->cancel, RC_CANCELLED);
}

static void progress(void *context, const struct rc_transferred *so_far)
{
    const struct run *run = context;
    const struct rc_transferred *before = &run->transfers->total;
    int64_t done = before->objects + before->skipped + before->removed + so_far->objects +
                   so_far->skipped + so_far->removed;
    int64_t found = before->found + so_far->found;
    int64_t bytes = before->bytes + so_far->bytes;
    int64_t found_bytes = before->found_bytes + so_far->found_bytes;

    /* Of large objects the bytes tell how far it is, of small ones their number does. The size of
       what stands on the command line is not known before. */
    if (found > 0 && (found_bytes > 0 ? found_bytes : bytes) / found >= MIB)
        core_output_progress(bytes / MIB, found_bytes / MIB, "MiB", (double)(bytes % MIB) / MIB);
    else
        core_output_progress(done, found, "objects", 0);
}

static enum rc_code checkpoint(void *context, const char *token, struct rc_error *err)
{
    const struct run *run = context;

    return core_file_write(run->resume_path, token, strlen(token), TOKEN_MODE, err);
}

/* ---- a transfer ------------------------------------------------------------------------------ */

static void add_total(struct rc_transferred *total, const struct rc_transferred *more)
{
    total->objects += more->objects;
    total->bytes += more->bytes;
    total->skipped += more->skipped;
    total->removed += more->removed;
    total->failed += more->failed;
    total->found += more->found;
    total->found_bytes += more->found_bytes;
}

/* Whether the error that ends the transfer is a failure that was told already. */
static bool was_said(const struct core_storage_transfers *transfers, const struct rc_error *err)
{
    for (size_t i = 0; i < transfers->said_count; i++) {
        const struct rc_error *said = &transfers->said[i];

        if (said->code == err->code && strcmp(said->cause, err->cause) == 0 &&
            strcmp(said->context, err->context) == 0)
            return true;
    }
    return false;
}

static enum rc_code transfer(struct core_storage_transfers *transfers, struct rc_transfer *asked,
                             struct run *run, struct rc_error *err)
{
    struct core_storage_command *command = transfers->command;
    struct rc_transferred done;
    enum rc_code code;

    asked->struct_bytes = sizeof(*asked);
    asked->flags = transfers->flags;
    asked->width = (unsigned)transfers->width;
    asked->bytes_per_s = transfers->bytes_per_s;
    asked->attributes = transfers->has_attributes ? &transfers->attributes : NULL;
    asked->report = report;
    asked->progress = command->log_level >= RC_LOG_INFO ? progress : NULL;
    asked->context = run;
    code = core_transfer_run(command->storage, asked, &done, err);
    add_total(&transfers->total, &done);
    if (!code)
        return RC_OK;
    command->has_said = was_said(transfers, err);
    /* With --keep-going the rest is still to come, and the end says that something failed. */
    if (!command->has_said || !(transfers->flags & RC_TRANSFER_KEEP_GOING))
        return code;
    command->has_failed = true;
    return RC_OK;
}

enum rc_code core_storage_transfer_list(struct core_storage_transfers *transfers,
                                        core_storage_next_fn *next_item, void *context,
                                        struct rc_error *err)
{
    struct run run = { .transfers = transfers, .next = next_item, .context = context };
    struct rc_transfer asked = { .next = next, .when = transfers->when };

    return transfer(transfers, &asked, &run, err);
}

static enum rc_code read_token(const char *path, struct rc_buf *token, struct rc_error *err)
{
    if (core_file_read(path, token, err) == RC_OK || err->code == RC_NOT_FOUND)
        return RC_OK;
    return rc_context(err, "--resume");
}

/* The mover would say the same, but knows of no file. */
static enum rc_code check_token(const char *path, const struct rc_transfer *asked,
                                struct rc_error *err)
{
    struct rc_error found = RC_ERROR_INIT;

    if (core_transfer_check_token(asked, &found) == RC_OK)
        return RC_OK;
    return rc_fail(err, found.code,
                   "--resume: the file '%s' does not belong to this transfer: %s; remove the file "
                   "to begin anew, or name another",
                   path, found.cause);
}

enum rc_code core_storage_transfer_tree(struct core_storage_transfers *transfers,
                                        const char *source, const char *target,
                                        struct rc_error *err)
{
    const struct core_arguments *arguments = transfers->command->arguments;
    RC_BUF_AUTO(token, TOKEN_LIMIT);
    struct run run = { .transfers = transfers, .resume_path = arguments->resume };
    struct rc_transfer asked = {
        .flags = transfers->flags,
        .source = source,
        .target = target,
        .when = transfers->when,
        .wants = wants,
        .checkpoint = arguments->resume ? checkpoint : NULL,
        .compare = transfers->compare,
        .max_removed = transfers->max_removed,
    };
    const struct core_left_out left_out = { .tell = count_left_out, .context = transfers };
    enum rc_code code;

    if (arguments->resume && read_token(arguments->resume, &token, err))
        return err->code;
    asked.resume = token.len > 0 ? token.data : NULL;
    if (check_token(arguments->resume, &asked, err))
        return err->code;
    core_storage_tell_left_out(transfers->command->storage, &left_out);
    code = transfer(transfers, &asked, &run, err);
    core_storage_tell_left_out(transfers->command->storage, NULL);
    if (!code && !transfers->command->has_failed && arguments->resume && !arguments->dry_run &&
        unlink(arguments->resume) != 0 && errno != ENOENT)
        return rc_fail_errno(err, errno, "remove '%s', which is done with", arguments->resume);
    return code;
}

/* ---- the result ------------------------------------------------------------------------------ */

static void add_count(struct rc_buf *out, const char *what, int64_t count, const char *unit)
{
    if (out->len > 0)
        rc_buf_adds(out, ", ");
    rc_buf_addf(out, "%s %lld%s%s", what, (long long)count, unit, count == 1 || !*unit ? "" : "s");
}

static void add_text_result(const struct core_storage_transfers *transfers, double seconds,
                            struct rc_buf *out)
{
    const struct rc_transferred *total = &transfers->total;
    bool removes = strcmp(transfers->verb, "remove") == 0;
    char size[RC_AMOUNT_TEXT];
    RC_BUF_AUTO(line, LINE_LIMIT);

    if (!removes)
        add_count(&line, transfers->done, total->objects, " object");
    if (total->bytes > 0)
        rc_buf_addf(&line, " (%s)", rc_format_size(total->bytes, size));
    if (removes || total->removed > 0)
        add_count(&line, "removed", total->removed, " object");
    if (total->skipped > 0)
        add_count(&line, "skipped", total->skipped, "");
    if (total->failed > 0)
        add_count(&line, "failed", total->failed, "");
    rc_buf_addf(out, "%s%s in %.1fs\n", transfers->flags & RC_TRANSFER_CHECK ? "would have " : "",
                line.data, seconds);
}

static void add_json_result(const struct core_storage_transfers *transfers, double seconds,
                            const struct rc_error *err, struct rc_buf *out)
{
    const struct rc_transferred *total = &transfers->total;
    RC_BUF_AUTO(text, LINE_LIMIT);

    if (err)
        rc_buf_addf(&text, "%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);
    rc_buf_addc(out, '{');
    core_storage_add_number(out, "objects", total->objects);
    core_storage_add_number(out, "bytes", total->bytes);
    core_storage_add_number(out, "skipped", total->skipped);
    core_storage_add_number(out, "removed", total->removed);
    core_storage_add_number(out, "failed", total->failed);
    rc_buf_addf(out, ",\"seconds\":%.3f,\"dry_run\":%s,\"error\":", seconds,
                transfers->flags & RC_TRANSFER_CHECK ? "true" : "false");
    core_cli_add_json(out, err ? text.data : NULL);
    rc_buf_adds(out, "}\n");
}

/* Who copies a folder should know that it is not all of it. */
static void say_left_out(const struct core_storage_transfers *transfers)
{
    static const char *const names[CORE_STORAGE_LEFT_OUT][2] = {
        [CORE_LEFT_OUT_FOLDER_LINK] = { "link to a folder", "links to folders" },
        [CORE_LEFT_OUT_DANGLING] = { "link to nothing", "links to nothing" },
        [CORE_LEFT_OUT_SPECIAL] = { "pipe, socket or device", "pipes, sockets or devices" },
    };
    RC_BUF_AUTO(line, LINE_LIMIT);

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        long long count = transfers->left_out[i];

        if (count > 0)
            rc_buf_addf(&line, "%s %lld %s", line.len > 0 ? "," : "", count, names[i][count != 1]);
    }
    if (line.len > 0 && transfers->command->log_level >= RC_LOG_WARN)
        (void)fprintf(stderr, "run-core: left out:%s\n", line.data);
}

enum rc_code core_storage_transfers_end(struct core_storage_transfers *transfers, enum rc_code code,
                                        struct rc_error *err)
{
    struct core_storage_command *command = transfers->command;
    double seconds = (double)(core_clock_mono_ms() - transfers->began_mono_ms) / 1000.0;
    const struct rc_error *said = transfers->said_count > 0 ? &transfers->said[0] : NULL;
    const struct rc_error *failure = code ? err : said;

    core_output_progress_end();
    say_left_out(transfers);
    if (transfers->flags & RC_TRANSFER_REMOVE_EXTRA && transfers->copies_failed &&
        command->log_level >= RC_LOG_WARN)
        (void)fprintf(stderr,
                      "run-core: nothing was removed from '%s', since not everything was copied\n",
                      command->uris[1]);
    if (command->arguments->json)
        add_json_result(transfers, seconds, failure, &command->out);
    else if (command->log_level >= RC_LOG_INFO)
        add_text_result(transfers, seconds, &command->out);
    return code;
}
