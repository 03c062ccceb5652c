/*
 * Shows a log. What a plugin printed by itself may hold anything, so on a terminal no control
 * character of it gets through.
 */
#include <cli/log_view.h>

#include <base/utf8.h>
#include <config/json.h>
#include <os/path.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 256 * 1024, SHOWN_BYTES = 4 * LINE_BYTES };

void core_log_view_init(struct core_log_view *view, int fd)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

    *view = (struct core_log_view){ .fd = fd, .line = RC_BUF_INIT(LINE_BYTES) };
    view->terminal = isatty(fd) && !(term && strcmp(term, "dumb") == 0);
    view->colour = view->terminal && !(no_colour && no_colour[0]);
}

void core_log_add_printable(struct rc_buf *out, const char *text, size_t len)
{
    size_t step;
    bool valid;

    for (size_t i = 0; i < len; i += step) {
        unsigned char c = (unsigned char)text[i], next = (unsigned char)text[i + 1];

        step = core_utf8_next(text + i, len - i, &valid);
        if (!valid)
            rc_buf_adds(out, "\xEF\xBF\xBD");
        else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            rc_buf_addf(out, "\\x%02x", c);
        else if (c == 0xC2 && next < 0xA0) /* the second set of controls, U+0080 to U+009F */
            rc_buf_addf(out, "\\x%02x", next);
        else
            rc_buf_add(out, text + i, step);
    }
}

/* What every line has, and what the one who asked for the log knows. */
static bool is_known(const char *key)
{
    static const char *const known[] = { "time",   "level",  "message", "run",
                                         "plugin", "action", "job",     "attempt" };

    for (size_t i = 0; i < RC_ARRAY_LEN(known); i++)
        if (strcmp(known[i], key) == 0)
            return true;
    return false;
}

static const char *colour_of(const char *level)
{
    if (strcmp(level, "error") == 0)
        return "\033[31m";
    if (strcmp(level, "warn") == 0)
        return "\033[33m";
    return strcmp(level, "debug") == 0 ? "\033[2m" : "";
}

/* A message as one sees it where a run is in the foreground. False: it is none. */
static bool add_message(const struct core_log_view *view, const struct core_node *map,
                        struct rc_buf *out)
{
    const char *time = core_node_text(map, "time"), *level = core_node_text(map, "level");
    const char *message = core_node_text(map, "message"),
               *day_end = time ? strchr(time, 'T') : NULL;

    if (!day_end || strlen(day_end) < sizeof("Thh:mm:ss") - 1 || !level || !message)
        return false;
    rc_buf_add(out, day_end + 1, sizeof("hh:mm:ss") - 1);
    rc_buf_addf(out, " %s%-5s%s ", view->colour ? colour_of(level) : "", level,
                view->colour ? "\033[0m" : "");
    core_log_add_printable(out, message, strlen(message));
    for (size_t i = 0; i < map->len; i++) {
        const struct core_entry *entry = &map->entries[i];

        if (is_known(entry->key) || entry->value->kind != CORE_NODE_SCALAR)
            continue;
        rc_buf_addc(out, ' ');
        core_log_add_printable(out, entry->key, strlen(entry->key));
        rc_buf_addc(out, '=');
        core_log_add_printable(out, entry->value->text, strlen(entry->value->text));
    }
    rc_buf_addc(out, '\n');
    return true;
}

static enum rc_code put(struct core_log_view *view, const char *data, size_t len,
                        struct rc_error *err)
{
    view->failed = core_fd_write(view->fd, data, len);
    return view->failed ? rc_fail_errno(err, view->failed, "write the log") : RC_OK;
}

static enum rc_code show_line(struct core_log_view *view, struct rc_error *err)
{
    struct core_arena arena = CORE_ARENA_INIT;
    CORE_PROBLEMS_AUTO(ignored);
    RC_BUF_AUTO(out, SHOWN_BYTES);
    const struct core_node *map = NULL;

    if (view->line.data[0] == '{')
        map = core_json_read(&arena, "log", view->line.data, view->line.len, &ignored);
    if (!map || !add_message(view, map, &out)) {
        rc_buf_reset(&out);
        core_log_add_printable(&out, view->line.data, view->line.len);
    }
    core_arena_clear(&arena);
    rc_buf_reset(&view->line);
    return put(view, out.data, out.len, err);
}

enum rc_code core_log_view_add(void *context, const char *data, size_t len, struct rc_error *err)
{
    struct core_log_view *view = context;

    if (!view->terminal)
        return put(view, data, len, err);
    while (len > 0) {
        const char *end = memchr(data, '\n', len);
        size_t room = view->line.limit - view->line.len;
        size_t part = end ? (size_t)(end - data) + 1 : len;

        if (part > room) /* a line of that length is no message */
            part = room;
        rc_buf_add(&view->line, data, part);
        data += part;
        len -= part;
        if ((view->line.data[view->line.len - 1] == '\n' || view->line.len == view->line.limit) &&
            show_line(view, err))
            return err->code;
    }
    return RC_OK;
}

void core_log_view_end(struct core_log_view *view)
{
    struct rc_error err = RC_ERROR_INIT;

    /* Whoever looks at the terminal sees that it is gone. */
    if (view->line.len > 0 && show_line(view, &err))
        err.code = RC_OK;
    rc_buf_clear(&view->line);
}
