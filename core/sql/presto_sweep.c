/*
 * What dead sessions have left: their tables in the catalogue, and their folders beside that of
 * this session. A session that is over is one that its run, or the lock that it held, says so of.
 */
#include <sql/presto.h>

#include <run-core/str.h>

#include <string.h>

enum { SESSION_LENGTH = 48 };

/* Other folders may lie there, too; those are nobody's business here. */
static bool is_session(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return rc_str_starts(name, "rc_") && !name[len] && len <= SESSION_LENGTH;
}

/*
 * Statements of a dead session may still run, and make what is just being removed. Where this user
 * may not see them, the rest is done without.
 */
static enum rc_code stop_statements(struct core_presto *session, const char *over,
                                    struct rc_error *err)
{
    struct rc_error stopped = RC_ERROR_INIT;

    if (!session->dialect->stop_work || !session->dialect->stop_work(session, over, &stopped))
        return RC_OK;
    if (stopped.code != RC_DENIED && stopped.code != RC_NOT_FOUND &&
        stopped.code != RC_UNSUPPORTED) {
        *err = stopped;
        return rc_context(err, "end the statements of the session '%s'", over);
    }
    core_presto_say(session, RC_LOG_WARN,
                    "whether statements of the session '%s' still run is not known, and what those "
                    "make would stay: %s",
                    over, stopped.cause);
    return RC_OK;
}

/* The mark goes last: as long as it is there, a later sweep finds what this one has left. */
static enum rc_code remove_session(struct core_presto *session, const char *root, const char *over,
                                   struct rc_error *err)
{
    const struct core_presto_dialect *dialect = session->dialect;
    RC_STR_AUTO folder = rc_strf("%s%s/", root, over);
    RC_STR_AUTO mark = rc_strf("%s" CORE_PRESTO_MARK, folder);
    const char *const marks[] = { mark };

    if (core_presto_check(session, err) || stop_statements(session, over, err))
        return err->code;
    if (dialect->end_work && dialect->end_work(session, over, err))
        return err->code;
    if (core_presto_empty(session, folder, err) ||
        core_storage_remove(&session->storage, marks, 1, err))
        return err->code;
    core_presto_remove_folder(session, folder);
    return RC_OK;
}

static enum rc_code sweep(struct core_presto *session, const char *root, struct rc_listing *listing,
                          struct rc_error *err)
{
    const struct core_sql_context *context = &session->context;
    const struct rc_object *object = NULL;
    enum rc_code code;

    while (!(code = core_listing_next(listing, &object, err)) && object) {
        RC_STR_AUTO over = rc_strndup(object->name, strcspn(object->name, "/"));

        if (!object->is_prefix || !is_session(over) || rc_str_eq(over, context->session) ||
            !context->is_over(context->is_over_context, over))
            continue;
        if (!remove_session(session, root, over, err)) {
            core_presto_say(session, RC_LOG_INFO, "removed what the session '%s' had left in '%s'",
                            over, root);
            continue;
        }
        if (err->code == RC_CANCELLED || err->code == RC_TIMEOUT)
            return err->code;
        core_presto_say(session, RC_LOG_WARN,
                        "what the session '%s' has left in '%s' stays for now: %s%s%s", over, root,
                        err->context, *err->context ? ": " : "", err->cause);
    }
    return code;
}

void core_presto_sweep(struct core_presto *session)
{
    size_t own = strlen(session->context.session) + 1;
    RC_STR_AUTO root = rc_strndup(session->work, strlen(session->work) - own);
    const struct rc_list_options shallow = { .shallow = true };
    struct rc_listing *listing = NULL;
    struct rc_error err = RC_ERROR_INIT;

    if (!session->context.is_over)
        return;
    if (core_storage_list(&session->storage, root, &shallow, &listing, &err) ||
        sweep(session, root, listing, &err))
        core_presto_say(session, RC_LOG_WARN, "look for what dead sessions have left in '%s': %s",
                        root, err.cause);
    core_listing_close(listing);
}
