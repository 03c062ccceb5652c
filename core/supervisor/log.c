/*
 * What the daemon says, and the chance in its pauses.
 */
#include <supervisor/internal.h>

#include <os/clock.h>
#include <runtime/output.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { TEXT_LIMIT = 4 * RC_ERROR_TEXT, PAUSE_FIRST_MS = 100, PAUSE_MOST_MS = 10000 };

void core_supervisor_log(const struct core_supervisor *supervisor, enum rc_log_level level,
                         const struct core_active *active, const char *format, ...)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);
    const struct rc_log_field fields[] = {
        { "run", active ? active->id : "" },
        { "job", active ? active->job_name : "" },
    };
    va_list arguments;

    if ((int)level > supervisor->config->settings.log_level)
        return;
    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    core_output_log(level, fields, active ? RC_ARRAY_LEN(fields) : 0, "%s", text.data);
}

const char *core_error_text(const struct rc_error *err, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);
    return out;
}

int64_t core_random_below(int64_t limit)
{
    uint64_t random = 0;

    /* Up to 256 bytes come whole, see getrandom(2); without entropy the clock has to do. */
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = (uint64_t)core_clock_mono_ms() * UINT64_C(2654435761);
    return limit > 0 ? (int64_t)(random % (uint64_t)limit) : 0;
}

int64_t core_backoff_next_ms(struct core_backoff *backoff)
{
    int64_t pause_ms = backoff->pause_ms ? 2 * backoff->pause_ms : PAUSE_FIRST_MS;

    backoff->pause_ms = pause_ms < PAUSE_MOST_MS ? pause_ms : PAUSE_MOST_MS;
    return backoff->pause_ms / 2 + core_random_below(backoff->pause_ms / 2 + 1);
}
