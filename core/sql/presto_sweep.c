/*
 * What dead sessions have left: their tables in the catalogue, and their folders beside that of
 * this session. A session that is over is one that its run, or the lock that it held, says so of.
 *
 * Engines may share the folder of all that. A session's tables are found, and its statements ended,
 * only from where it was: whoever else removed its files would remove the last trace of the rest.
 * So its mark says where that is:
 *
 *     run-core
 *     engine: trino
 *     server: https://trino.example.com:8443
 *     catalog: hive
 *
 * One of an earlier release has only the first line, and says nothing.
 */
#include <sql/presto.h>

#include <run-core/str.h>

#include <string.h>

enum { SESSION_LENGTH = 48, MARK_LIMIT = 64 * 1024 };

#define MARK_BEGIN "run-core\n"

void core_presto_add_mark(const struct core_presto *session, struct rc_buf *out)
{
    rc_buf_addf(out, MARK_BEGIN "engine: %s\n", session->dialect->ops->name);
    if (session->dialect->add_place)
        session->dialect->add_place(session, out);
}

/* A folder without a mark holds no tables: at most results of queries that nobody waits for. */
static enum rc_code find_owner(struct core_presto *session, const char *mark, bool *is_ours,
                               struct rc_error *err)
{
    RC_BUF_AUTO(found, MARK_LIMIT);
    RC_BUF_AUTO(own, MARK_LIMIT);
    struct rc_error read = RC_ERROR_INIT;

    *is_ours = true;
    if (core_storage_get(&session->storage, mark, &found, &read)) {
        if (read.code == RC_NOT_FOUND)
            return RC_OK;
        *err = read;
        return rc_context(err, "read '%s'", mark);
    }
    core_presto_add_mark(session, &own);
    *is_ours = !rc_str_starts(found.data, MARK_BEGIN "engine: ") || rc_str_eq(found.data, own.data);
    return RC_OK;
}

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
                                   bool *is_ours, struct rc_error *err)
{
    const struct core_presto_dialect *dialect = session->dialect;
    RC_STR_AUTO folder = rc_strf("%s%s/", root, over);
    RC_STR_AUTO mark = rc_strf("%s" CORE_PRESTO_MARK, folder);
    const char *const marks[] = { mark };

    *is_ours = true;
    if (core_presto_check(session, err) || find_owner(session, mark, is_ours, err))
        return err->code;
    if (!*is_ours)
        return RC_OK;
    if (stop_statements(session, over, err))
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
        bool is_ours;

        if (!object->is_prefix || !is_session(over) || rc_str_eq(over, context->session) ||
            !context->is_over(context->is_over_context, over))
            continue;
        if (!remove_session(session, root, over, &is_ours, err)) {
            core_presto_say(session, is_ours ? RC_LOG_INFO : RC_LOG_DEBUG,
                            is_ours ? "removed what the session '%s' had left in '%s'"
                                    : "what the session '%s' has left in '%s' is for an engine of "
                                      "its own server and catalogue to remove",
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
