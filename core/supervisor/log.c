/*
 * What the daemon says.
 */
#include <supervisor/internal.h>

#include <runtime/output.h>

#include <stdio.h>

enum { TEXT_LIMIT = 4 * RC_ERROR_TEXT };

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
