/*
 * The service 'transfer' of the host. In a dry run the mover only finds what it would do, and each
 * change is said here.
 */
#include <runtime/host.h>

#include <storage/transfer.h>

/* A dry run stands between the mover and the plugin. */
struct dry {
    struct core_job *job;
    const struct rc_transfer *asked;
};

static bool dry_wants(void *context, const struct rc_object *object)
{
    const struct dry *dry = context;

    return dry->asked->wants(dry->asked->context, object);
}

static enum rc_code dry_next(void *context, struct rc_transfer_item *item, bool *more,
                             struct rc_error *err)
{
    const struct dry *dry = context;

    return dry->asked->next(dry->asked->context, item, more, err);
}

static void dry_progress(void *context, const struct rc_transferred *so_far)
{
    const struct dry *dry = context;

    dry->asked->progress(dry->asked->context, so_far);
}

static enum rc_code say(const struct dry *dry, const struct rc_transfer_report *report,
                        struct rc_error *err)
{
    const struct rc_transfer_item *item = &report->item;

    switch (report->act) {
    case RC_TRANSFER_COPY:
        return core_host_would(dry->job, err, "%s '%s' to '%s'",
                               dry->asked->flags & RC_TRANSFER_MOVE ? "move" : "copy", item->source,
                               item->target);
    case RC_TRANSFER_REMOVE:
        return core_host_would(dry->job, err, "remove '%s'",
                               item->source ? item->source : item->target);
    case RC_TRANSFER_SKIP:
        break;
    }
    return RC_OK;
}

static void dry_report(void *context, const struct rc_transfer_report *report)
{
    const struct dry *dry = context;
    struct rc_error ignored = RC_ERROR_INIT;

    /* That the run is to stop the mover finds by itself. */
    if (!report->err && say(dry, report, &ignored))
        return;
    if (dry->asked->report)
        dry->asked->report(dry->asked->context, report);
}

/* Where a transfer was is for one that really goes on from there: a dry one tells no token. */
static enum rc_code run_dry(struct core_job *job, const struct rc_transfer *asked,
                            struct rc_transferred *out, struct rc_error *err)
{
    struct dry dry = { .job = job, .asked = asked };
    struct rc_transfer check = *asked;

    check.flags |= RC_TRANSFER_CHECK;
    check.wants = asked->wants ? dry_wants : NULL;
    check.next = asked->next ? dry_next : NULL;
    check.progress = asked->progress ? dry_progress : NULL;
    check.report = dry_report;
    check.checkpoint = NULL;
    check.context = &dry;
    return core_transfer_run(job->storage, &check, out, err);
}

static enum rc_code transfer_run(struct rc_job *job, const struct rc_transfer *given,
                                 struct rc_transferred *out, struct rc_error *err)
{
    struct rc_transferred done = { .objects = 0 };
    struct core_job *core = core_job_of(job);
    struct rc_transfer asked;
    enum rc_code code = core_host_take(&asked, sizeof(asked), given, err);

    if (code == RC_OK && job->dry_run && !(asked.flags & RC_TRANSFER_CHECK))
        code = run_dry(core, &asked, &done, err);
    else if (code == RC_OK)
        code = core_transfer_run(core->storage, &asked, &done, err);
    if (out)
        *out = done;
    return code;
}

const struct rc_transfer_api core_host_transfer = { .run = transfer_run };
