/*
 * Messages, the progress line and tables. Knows how things look, not what they mean; what
 * goes to stdout is put there by whoever called for it.
 */
#include <runtime/output.h>

#include <config/secrets.h>
#include <os/clock.h>
#include <os/path.h>

#include <run-core/buf.h>
#include <run-core/str.h>
#include <run-core/time.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    MESSAGE_LIMIT = 64 * 1024,
    LINE_LIMIT = 256 * 1024,
    PROGRESS_EVERY_MS = 100,
    BAR_WIDTH = 24,
};

static struct {
    pthread_mutex_t mutex;
    const struct core_output_labels *labels;
    bool terminal, colour;
    bool progress_shown;
    int64_t progress_drawn_ms, progress_began_ms, progress_began_at;
} output = { .mutex = PTHREAD_MUTEX_INITIALIZER };

void core_output_init(const struct core_output_labels *labels)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    output.labels = labels;
    output.terminal = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
    output.colour = output.terminal && !(no_colour && no_colour[0]);
}

/* If it fails, nobody is left to be told. */
static void put(const char *data, size_t len)
{
    (void)core_fd_write(STDERR_FILENO, data, len);
}

/* ---- messages ----------------------------------------------------------------------------- */

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *const level_colours[] = { "\033[31m", "\033[33m", "", "\033[2m" };

/* Control characters in a message must not reach somebody's terminal. */
static void add_printable(struct rc_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            rc_buf_addf(out, c == '\n' ? "\n    " : "\\x%02x", c);
        else
            rc_buf_addc(out, (char)c);
    }
}

static void add_terminal_line(struct rc_buf *out, enum rc_log_level level,
                              const struct rc_log_field *fields, size_t count, const char *message,
                              size_t len)
{
    int64_t now_s = core_clock_now_unix_ms() / 1000 % 86400;

    rc_buf_addf(out, "%02d:%02d:%02d ", (int)(now_s / 3600), (int)(now_s / 60 % 60),
                (int)(now_s % 60));
    rc_buf_addf(out, "%s%-5s%s ", output.colour ? level_colours[level] : "", level_names[level],
                output.colour ? "\033[0m" : "");
    add_printable(out, message, len);
    for (size_t i = 0; i < count; i++) {
        rc_buf_addf(out, " %s=", fields[i].key);
        add_printable(out, fields[i].value, strlen(fields[i].value));
    }
    rc_buf_addc(out, '\n');
}

static void add_member(struct rc_buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    rc_buf_addc(out, ',');
    rc_buf_add_json(out, key, strlen(key));
    rc_buf_addc(out, ':');
    rc_buf_add_json(out, value, strlen(value));
}

static void add_json_line(struct rc_buf *out, enum rc_log_level level,
                          const struct rc_log_field *fields, size_t count, const char *message,
                          size_t len)
{
    char when[RC_TIME_TEXT];

    rc_buf_addf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":",
                rc_format_time(core_clock_now_unix_ms(), when), level_names[level]);
    rc_buf_add_json(out, message, len);
    if (output.labels) {
        const char *action = output.labels->action; /* empty until the plugin is loaded */
        add_member(out, "run", output.labels->run);
        add_member(out, "plugin", output.labels->plugin);
        add_member(out, "action", action && action[0] ? action : NULL);
        add_member(out, "job", output.labels->job);
        add_member(out, "attempt", output.labels->attempt);
    }
    for (size_t i = 0; i < count; i++)
        add_member(out, fields[i].key, fields[i].value);
    rc_buf_adds(out, "}\n");
}

static void erase_progress(void)
{
    if (output.progress_shown)
        put("\r\033[K", 4);
    output.progress_shown = false;
}

void core_output_logv(enum rc_log_level level, const struct rc_log_field *fields, size_t count,
                      const char *format, va_list arguments)
{
    RC_BUF_AUTO(message, MESSAGE_LIMIT);
    RC_BUF_AUTO(line, LINE_LIMIT);
    RC_BUF_AUTO(masked, LINE_LIMIT);

    rc_buf_addv(&message, format, arguments);
    if (message.overflow)
        rc_buf_adds(&message, message.len == 0 ? "(a message too long to be shown)" : "");
    if (output.terminal)
        add_terminal_line(&line, level, fields, count, message.data, message.len);
    else
        add_json_line(&line, level, fields, count, message.data, message.len);
    core_secret_add_masked(&masked, line.data, line.len);

    pthread_mutex_lock(&output.mutex);
    erase_progress();
    put(masked.data, masked.len);
    pthread_mutex_unlock(&output.mutex);
}

void core_output_log(enum rc_log_level level, const struct rc_log_field *fields, size_t count,
                     const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    core_output_logv(level, fields, count, format, arguments);
    va_end(arguments);
}

int core_output_result(int fd, const char *data, size_t len)
{
    int failed;

    pthread_mutex_lock(&output.mutex);
    erase_progress();
    failed = core_fd_write(fd, data, len);
    pthread_mutex_unlock(&output.mutex);
    return failed;
}

/* ---- progress ----------------------------------------------------------------------------- */

static void add_bar(struct rc_buf *line, double share)
{
    int filled = (int)(share * BAR_WIDTH);

    rc_buf_addc(line, '[');
    for (int i = 0; i < BAR_WIDTH; i++)
        rc_buf_addc(line, i < filled ? '=' : i == filled ? '>' : ' ');
    rc_buf_addc(line, ']');
}

/* The rate since the first sign of progress, and the time left at that rate. */
static void add_rate(struct rc_buf *line, int64_t done, int64_t total, double fraction,
                     int64_t now_ms)
{
    double seconds = (double)(now_ms - output.progress_began_ms) / 1000.0;
    double moved = (double)done - (double)output.progress_began_at + fraction;
    char left[RC_AMOUNT_TEXT];

    if (seconds < 0.5 || moved <= 0)
        return;
    rc_buf_addf(line, "  %.1f/s", moved / seconds);
    if (total > 0) {
        double left_s = ((double)total - (double)done - fraction) * seconds / moved;
        bool known = left_s >= 0 && left_s < 1e9;
        rc_buf_addf(line, "  %s left",
                    rc_format_duration(known ? (int64_t)left_s * 1000 : 0, left));
    }
}

static int terminal_width(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 10 ? size.ws_col : 80;
}

void core_output_progress(int64_t done, int64_t total, const char *unit, double fraction)
{
    RC_BUF_AUTO(line, 1024);
    int64_t now_ms;

    if (!output.terminal)
        return;
    pthread_mutex_lock(&output.mutex);
    now_ms = core_clock_mono_ms();
    if (output.progress_began_ms == 0 || done < output.progress_began_at) {
        output.progress_began_ms = now_ms;
        output.progress_began_at = done;
    }
    if (now_ms - output.progress_drawn_ms >= PROGRESS_EVERY_MS) {
        output.progress_drawn_ms = now_ms;
        if (output.labels && output.labels->action)
            rc_buf_addf(&line, "%s ", output.labels->action);
        if (total > 0) {
            double share = ((double)done + fraction) / (double)total;
            share = share < 0 ? 0 : share > 1 ? 1 : share;
            add_bar(&line, share);
            rc_buf_addf(&line, " %3d%%  %lld/%lld %s", (int)(share * 100), (long long)done,
                        (long long)total, unit ? unit : "");
        } else {
            rc_buf_addf(&line, "%lld %s", (long long)done, unit ? unit : "");
        }
        add_rate(&line, done, total, fraction, now_ms);
        if (line.len > (size_t)terminal_width() - 1)
            rc_buf_truncate(&line, (size_t)terminal_width() - 1);
        erase_progress();
        put(line.data, line.len);
        output.progress_shown = true;
    }
    pthread_mutex_unlock(&output.mutex);
}

void core_output_progress_end(void)
{
    pthread_mutex_lock(&output.mutex);
    erase_progress();
    pthread_mutex_unlock(&output.mutex);
}

void core_output_progress_left(void)
{
    pthread_mutex_lock(&output.mutex);
    output.progress_shown = output.terminal;
    erase_progress();
    pthread_mutex_unlock(&output.mutex);
}

/* ---- tables ------------------------------------------------------------------------------- */

static const char *heading(const struct rc_table *table, size_t column, bool *right)
{
    const char *text = table->columns[column];

    *right = text[0] == '>';
    return text + (*right ? 1 : 0);
}

static const char *cell(const struct rc_table *table, size_t row, size_t column)
{
    const char *text = table->cells[row * table->column_count + column];

    return text ? text : "";
}

/* Characters, not bytes: every byte that does not continue a UTF-8 sequence. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static size_t column_width(const struct rc_table *table, size_t column)
{
    bool right;
    size_t width = width_of(heading(table, column, &right));

    for (size_t row = 0; row < table->row_count; row++) {
        size_t here = width_of(cell(table, row, column));
        width = here > width ? here : width;
    }
    return width;
}

static void add_cell(struct rc_buf *out, const char *text, size_t width, bool right, bool last)
{
    size_t blanks = width - width_of(text);

    if (last && !text[0]) { /* nothing to be aligned: no blanks at the line's end */
        while (out->len > 0 && out->data[out->len - 1] == ' ')
            rc_buf_truncate(out, out->len - 1);
        blanks = 0;
    }
    for (size_t i = 0; right && i < blanks; i++)
        rc_buf_addc(out, ' ');
    add_printable(out, text, strlen(text));
    for (size_t i = 0; !right && !last && i < blanks; i++)
        rc_buf_addc(out, ' ');
    rc_buf_adds(out, last ? "\n" : "  ");
}

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

void core_output_add_text(struct rc_buf *out, const char *text)
{
    for (;;) {
        size_t len = 0;

        while (text[len] && !is_control(text[len]))
            len++;
        rc_buf_add(out, text, len);
        text += len;
        if (!*text)
            return;
        rc_buf_addf(out, "\\x%02x", (unsigned char)*text++);
    }
}

void core_output_table_text(struct rc_buf *out, const struct rc_table *table)
{
    size_t *widths = rc_calloc(table->column_count + 1, sizeof(*widths));

    for (size_t column = 0; column < table->column_count; column++)
        widths[column] = column_width(table, column);
    if (table->title)
        rc_buf_addf(out, "%s\n", table->title);
    for (size_t line = 0; line <= table->row_count; line++) {
        for (size_t column = 0; column < table->column_count; column++) {
            bool right;
            const char *head = heading(table, column, &right);
            add_cell(out, line == 0 ? head : cell(table, line - 1, column), widths[column], right,
                     column + 1 == table->column_count);
        }
    }
    free(widths);
}

static void add_json_cells(struct rc_buf *out, const struct rc_table *table, size_t row)
{
    rc_buf_addc(out, '[');
    for (size_t column = 0; column < table->column_count; column++) {
        const char *text = table->cells[row * table->column_count + column];
        rc_buf_adds(out, column > 0 ? "," : "");
        if (text)
            rc_buf_add_json(out, text, strlen(text));
        else
            rc_buf_adds(out, "null");
    }
    rc_buf_addc(out, ']');
}

void core_output_table_json(struct rc_buf *out, const struct rc_table *table)
{
    const char *title = table->title ? table->title : "";

    rc_buf_adds(out, "{\"title\":");
    rc_buf_add_json(out, title, strlen(title));
    rc_buf_adds(out, ",\"columns\":[");
    for (size_t column = 0; column < table->column_count; column++) {
        bool right;
        const char *text = heading(table, column, &right);
        rc_buf_adds(out, column > 0 ? "," : "");
        rc_buf_add_json(out, text, strlen(text));
    }
    rc_buf_adds(out, "],\"rows\":[");
    for (size_t row = 0; row < table->row_count; row++) {
        rc_buf_adds(out, row > 0 ? "," : "");
        add_json_cells(out, table, row);
    }
    rc_buf_adds(out, "]}");
}
