/*
 * The verdict on a run. Whoever asked it to stop counts before what came of that, and a limit that
 * it met before the signal that the kernel sent for it.
 */
#include <runtime/outcome.h>

#include <runtime/exit.h>
#include <runtime/output.h>

#include <run-core/str.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

void core_outcome_set(struct core_outcome *out, const char *status, int exit_status,
                      const char *reason)
{
    out->status = status;
    out->exit_status = exit_status;
    if (!out->reason[0])
        snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

static void add_error(const struct rc_error *err, struct core_outcome *out)
{
    snprintf(out->message, sizeof(out->message), "%s%s%s", err->context,
             err->context[0] ? ": " : "", err->cause);
}

/* Nobody wanted the end of a run that is deserted: it is lost, and so may be tried again. */
static void set_stopped(const struct core_ending *ending, struct core_outcome *out)
{
    if (ending->is_deserted)
        core_outcome_set(out, "lost", CORE_EXIT_FAILED, ending->stop_reason);
    else if (ending->stop_signal)
        core_outcome_set(out, "cancelled", CORE_EXIT_SIGNAL + ending->stop_signal,
                         ending->stop_reason ? ending->stop_reason : "signal");
    else
        core_outcome_set(out, "cancelled", CORE_EXIT_FAILED, rc_code_name(RC_CANCELLED));
}

/*
 * The action returned. Once it was asked to stop, any fault of its may be a consequence of that:
 * who asked counts, and the error stays in the message.
 */
static void judge_result(const struct core_run *run, const struct core_ending *ending,
                         struct core_outcome *out)
{
    const struct core_status *status = run->status;
    const char *reason = rc_code_name(status->code);

    add_error(&status->error, out);
    if (ending->timed_out && status->code != RC_OK) {
        core_outcome_set(out, "timed_out", CORE_EXIT_TIMEOUT, rc_code_name(RC_TIMEOUT));
        return;
    }
    if (ending->stop_signal && status->code != RC_OK) {
        set_stopped(ending, out);
        return;
    }
    switch (status->code) {
    case RC_OK:
        out->reason[0] = '\0';
        core_outcome_set(out, "succeeded", CORE_EXIT_OK, "");
        break;
    case RC_INVALID:
        core_outcome_set(out, "failed", CORE_EXIT_USAGE, reason);
        break;
    case RC_SKIPPED:
        core_outcome_set(out, "skipped", CORE_EXIT_SKIPPED, "precondition");
        break;
    case RC_CANCELLED:
        set_stopped(ending, out);
        break;
    default:
        core_outcome_set(out, "failed", CORE_EXIT_FAILED, reason);
    }
}

/* The action, as messages name it. */
static const char *where_it_was(const struct core_run *run)
{
    const char *action = run->status->action;

    return action[0] ? action : "(loading)";
}

/*
 * Whether the worker met one of its job's limits, which the kernel enforces by signals; then says
 * which. Processor time has two: the first signal may be caught, the second is SIGKILL.
 */
static bool judge_limit(const struct core_run *run, const struct core_ending *ending, int number,
                        struct core_outcome *out)
{
    const struct core_job_settings *job = run->request->job;
    int64_t used_s = ending->usage.ru_utime.tv_sec + ending->usage.ru_stime.tv_sec;
    bool cpu = job && job->limits.cpu_ms > 0 &&
               (number == SIGXCPU || (number == SIGKILL && used_s * 1000 >= job->limits.cpu_ms));
    bool file = job && job->limits.file_bytes > 0 && number == SIGXFSZ;
    bool memory = job && ending->out_of_memory && number == SIGKILL;
    char amount[RC_AMOUNT_TEXT];

    if (cpu)
        rc_format_duration(job->limits.cpu_ms, amount);
    else if (file || memory)
        rc_format_size(file ? job->limits.file_bytes : job->limits.memory_bytes, amount);
    else
        return false;
    core_outcome_set(out, "failed", CORE_EXIT_SIGNAL + number,
                     cpu    ? "cpu_time"
                     : file ? "file_size"
                            : "memory");
    snprintf(out->message, sizeof(out->message), "the plugin '%s' %s %s%s in its action '%s'",
             run->request->plugin,
             cpu    ? "used more than"
             : file ? "wrote a file of more than"
                    : "used more than",
             amount,
             cpu    ? " of processor time (limits.cpu_time)"
             : file ? " (limits.file_size)"
                    : " of memory (limits.memory)",
             where_it_was(run));
    return true;
}

static void judge_crash(const struct core_run *run, int number, struct core_outcome *out)
{
    const struct core_job_settings *job = run->request->job;
    const char *name = sigabbrev_np(number);
    const char *meaning = sigdescr_np(number);
    char amount[RC_AMOUNT_TEXT];

    core_outcome_set(out, "failed", CORE_EXIT_SIGNAL + number, "crashed");
    snprintf(out->message, sizeof(out->message),
             "the plugin '%s' crashed in its action '%s': signal %d (SIG%s, %s)%s%s%s",
             run->request->plugin, where_it_was(run), number, name ? name : "?",
             meaning ? meaning : "unknown",
             job && job->limits.address_space_bytes > 0 ? "; its address space was limited to "
                                                        : "",
             job && job->limits.address_space_bytes > 0
                 ? rc_format_size(job->limits.address_space_bytes, amount)
                 : "",
             job && job->limits.address_space_bytes > 0 ? " (limits.address_space)" : "");
}

/* A signal ended the worker before its action returned. */
static void judge_signal(const struct core_run *run, const struct core_ending *ending, int number,
                         struct core_outcome *out)
{
    const struct core_request *request = run->request;
    const char *where = where_it_was(run);

    if (ending->timed_out) {
        core_outcome_set(out, "timed_out", CORE_EXIT_TIMEOUT, rc_code_name(RC_TIMEOUT));
        snprintf(out->message, sizeof(out->message),
                 "the plugin '%s' did not stop in its action '%s' after its timeout, and was "
                 "killed",
                 request->plugin, where);
    } else if (ending->stop_signal && (ending->killed || number == SIGTERM)) {
        set_stopped(ending, out);
        snprintf(out->message, sizeof(out->message),
                 "the plugin '%s' was killed in its action '%s' before it had stopped",
                 request->plugin, where);
    } else if (judge_limit(run, ending, number, out)) {
        return;
    } else if (number == SIGKILL) {
        core_outcome_set(out, "failed", CORE_EXIT_SIGNAL + number, "killed");
        snprintf(out->message, sizeof(out->message),
                 "the worker of the plugin '%s' was killed from outside in its action '%s' "
                 "(SIGKILL): by somebody, or by the kernel because memory ran out; 'dmesg' tells",
                 request->plugin, where);
    } else {
        judge_crash(run, number, out);
    }
}

void core_outcome_judge(const struct core_run *run, const struct core_ending *ending,
                        struct core_outcome *out)
{
    struct core_status *status = run->status;
    bool returned = atomic_load(&status->phase) == CORE_PHASE_ENDED;

    core_status_seal(status);
    snprintf(out->reason, sizeof(out->reason), "%s", status->reason);
    if (!returned)
        core_output_progress_left();
    if (WIFSIGNALED(ending->wait_status)) {
        judge_signal(run, ending, WTERMSIG(ending->wait_status), out);
    } else if (!returned) {
        core_outcome_set(out, "failed", CORE_EXIT_FAILED, "exited");
        snprintf(out->message, sizeof(out->message),
                 "the plugin '%s' ended its process by itself in its action '%s', with exit "
                 "status %d",
                 run->request->plugin, where_it_was(run), WEXITSTATUS(ending->wait_status));
    } else if (status->code == RC_OK && WEXITSTATUS(ending->wait_status) != 0) {
        core_outcome_set(out, "failed", CORE_EXIT_FAILED, "exited");
        snprintf(out->message, sizeof(out->message),
                 "the action '%s' of the plugin '%s' was done, but its process then ended with "
                 "exit status %d",
                 status->action, run->request->plugin, WEXITSTATUS(ending->wait_status));
    } else {
        judge_result(run, ending, out);
    }
}

/* "0.04s", "12.3s", "1h2m3s": as exact as somebody cares at that length. */
static void add_time(double seconds, char out[RC_AMOUNT_TEXT])
{
    if (seconds < 60.0)
        snprintf(out, RC_AMOUNT_TEXT, seconds < 10.0 ? "%.2fs" : "%.1fs", seconds);
    else
        rc_format_duration((int64_t)seconds * 1000, out);
}

/* The one message about the end, with the counters as fields. */
void core_outcome_log(const struct core_run *run, const struct core_outcome *out)
{
    const struct core_status *status = run->status;
    const struct core_request *request = run->request;
    struct rc_log_field fields[CORE_STATUS_COUNTERS];
    char numbers[CORE_STATUS_COUNTERS][24];
    size_t count = core_status_counters(status);
    char took[RC_AMOUNT_TEXT];
    bool bad = out->exit_status != CORE_EXIT_OK && out->exit_status != CORE_EXIT_SKIPPED;

    for (size_t i = 0; i < count; i++) {
        snprintf(numbers[i], sizeof(numbers[i]), "%lld",
                 (long long)atomic_load(&status->counters[i].value));
        fields[i] = (struct rc_log_field){ status->counters[i].name, numbers[i] };
    }
    if (request->log_level < (bad ? RC_LOG_ERROR : RC_LOG_INFO))
        return;
    add_time(out->seconds, took);
    core_output_log(bad ? RC_LOG_ERROR : RC_LOG_INFO, fields, count, "%s%s%s %s after %s%s%s",
                    request->plugin, status->action[0] ? " " : "", status->action, out->status,
                    took, out->message[0] ? ": " : "", out->message);
}
