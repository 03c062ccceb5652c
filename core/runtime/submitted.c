/*
 * The side of the run that a plugin has begun: what it is to run, and its word that it has begun.
 */
#include <runtime/submit.h>

#include <config/json.h>
#include <os/path.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ORDER_BYTES = 16 * 1024 * 1024, READ_BYTES = 64 * 1024, WORD_BYTES = 2 * RC_ERROR_TEXT };

/* -1 once it was told, or forgotten. */
static int told_fd = CORE_SUBMIT_FD;

/* ---- the order ------------------------------------------------------------------------------- */

static enum rc_code read_all(struct rc_buf *out, struct rc_error *err)
{
    for (;;) {
        char *at = rc_buf_reserve(out, READ_BYTES);
        ssize_t got = at ? read(STDIN_FILENO, at, READ_BYTES) : 0;

        if (got > 0)
            rc_buf_added(out, (size_t)got);
        else if (got == 0)
            return rc_buf_check(out, err);
        else if (errno != EINTR)
            return rc_fail_errno(err, errno, "read standard input");
    }
}

/* Nobody reads it after us. */
static void close_input(void)
{
    int nothing = core_fd_open("/dev/null", O_RDONLY, 0);

    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0)
        (void)close(STDIN_FILENO);
    core_fd_close(&nothing);
}

static const char *text_of(const struct core_node *order, const char *key, bool *good)
{
    const char *text = core_node_text(order, key);

    *good = *good && text;
    return text;
}

/* A map as of --set. */
static const struct core_node *set_of(struct core_arena *arena, const struct core_node *order,
                                      const char *key, struct core_problems *problems)
{
    const struct core_node *map = core_node_get(order, key);
    RC_BUF_AUTO(text, ORDER_BYTES);

    if (!map || map->kind != CORE_NODE_MAP)
        return NULL;
    core_json_add(&text, map);
    return core_json_read_set(arena, text.data, text.len, problems);
}

enum rc_code core_submitted_read(struct core_arena *arena, struct core_submitted *out,
                                 struct rc_error *err)
{
    RC_BUF_AUTO(text, ORDER_BYTES);
    CORE_PROBLEMS_AUTO(problems);
    const struct core_node *order;
    int64_t log_level = 0;
    bool good = true;

    if (read_all(&text, err))
        return err->code;
    close_input();
    order = core_json_read(arena, "order", text.data, text.len, &problems);
    *out = (struct core_submitted){
        .plugin = text_of(order, "plugin", &good),
        .action = text_of(order, "action", &good),
        .run_id = text_of(order, "run", &good),
        .config_path = core_node_text(order, "config"),
        .job = core_node_text(order, "job"),
        .params = set_of(arena, order, "params", &problems),
        .set = set_of(arena, order, "set", &problems),
    };
    good = good && out->params && rc_parse_int(core_node_text(order, "log_level"), &log_level);
    out->log_level = (int)log_level;
    if (!good || problems.count > 0)
        return rc_fail(err, RC_INVALID,
                       "there is no order at the standard input; this command is for run-core "
                       "itself");
    return RC_OK;
}

/* ---- the word -------------------------------------------------------------------------------- */

/* "0" or "CODE why": a line. */
bool core_submitted_tell(const struct rc_error *err)
{
    RC_BUF_AUTO(word, WORD_BYTES + 64);
    int failed;

    if (told_fd < 0)
        return true;
    (void)fcntl(told_fd, F_SETFD, FD_CLOEXEC);
    if (err)
        rc_buf_addf(&word, "%d %s%s%s", (int)err->code, err->context, err->context[0] ? ": " : "",
                    err->cause);
    else
        rc_buf_adds(&word, "0");
    for (size_t i = 0; i < word.len; i++)
        if (word.data[i] == '\n')
            word.data[i] = ' ';
    rc_buf_addc(&word, '\n');
    failed = core_fd_write(told_fd, word.data, word.len);
    if (err)
        core_submitted_forget();
    return failed == 0;
}

void core_submitted_forget(void)
{
    core_fd_close(&told_fd);
}

enum rc_code core_submitted_told(const char *text, size_t len, struct rc_error *err)
{
    RC_STR_AUTO word = rc_strndup(text, len);
    size_t digits = strspn(word, "0123456789");
    RC_STR_AUTO number = rc_strndup(word, digits);
    int64_t code = 0;

    word[strcspn(word, "\n")] = '\0';
    if (!rc_parse_int(number, &code) || code < RC_OK || code > RC_SKIPPED)
        return rc_fail(err, RC_UNAVAILABLE,
                       "its process ended before the run began; what it printed, if anything, "
                       "stands where this process prints");
    if (code == RC_OK)
        return RC_OK;
    return rc_fail(err, (enum rc_code)code, "%s",
                   word[digits] == ' ' ? word + digits + 1 : "it cannot begin");
}
