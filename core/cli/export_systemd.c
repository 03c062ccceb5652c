/*
 * 'run-core export systemd': a timer and a service for each job, which runs in the foreground. The
 * files of the configuration stay where they are, on this machine.
 */
#include <cli/export.h>
#include <cli/export_systemd_times.h>

#include <os/clock.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define STATE_FOLDER "/var/lib/run-core"

enum {
    STOP_S = 5,   /* for run-core to end, after its worker has */
    START_S = 30, /* beyond the timeout, which run-core itself keeps */
};

/* ---- values ---------------------------------------------------------------------------------- */

/* A text in which nothing is a specifier, on one line. */
static void add_text(struct rc_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '%')
            rc_buf_addc(out, '%');
        rc_buf_addc(out, (unsigned char)*text < 0x20 ? ' ' : *text);
    }
}

/* A word of a command line: no variable, specifier, escape or blank in it means anything. */
static void add_word(struct rc_buf *out, const char *word)
{
    rc_buf_adds(out, " \"");
    for (; *word; word++) {
        if (*word == '"' || *word == '\\')
            rc_buf_addc(out, '\\');
        if (*word == '%' || *word == '$')
            rc_buf_addc(out, *word);
        if (*word == '\n')
            rc_buf_adds(out, "\\n");
        else
            rc_buf_addc(out, *word);
    }
    rc_buf_addc(out, '"');
}

/* The binary that runs now; services take no relative path. */
static const char *own_path(struct core_export *export)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (len <= 0)
        return "/usr/bin/run-core";
    return core_arena_strndup(&export->arena, path, (size_t)len);
}

/* ---- what a timer and a oneshot cannot say --------------------------------------------------- */

static void note_differences(struct core_export *export, const struct core_job_settings *job,
                             const struct core_times *times)
{
    char text[RC_AMOUNT_TEXT];

    if (times->kind == CORE_SCHEDULE_STARTUP)
        core_export_note(export, NULL, job, "@startup is when the machine starts");
    if (times->kind == CORE_SCHEDULE_CRON && times->unlike_first)
        core_export_note(export, NULL, job,
                         "where clocks change in %s, systemd leaves out the times that are "
                         "skipped, and runs once at those that come twice",
                         times->zone);
    if (job->concurrency == CORE_QUEUE)
        core_export_note(export, NULL, job,
                         "systemd has no queue: a slot that comes while a run goes on is dropped");
    else if (job->concurrency != CORE_FORBID)
        core_export_note(export, NULL, job,
                         "a service runs once at a time: a slot that comes while a run goes on is "
                         "dropped");
    if (job->misfire == CORE_MISFIRE_ALL)
        core_export_note(export, NULL, job,
                         "of the slots that were missed, systemd makes up only for the last");
    if (job->misfire != CORE_MISFIRE_SKIP && job->catchup_window_ms < RC_DAY_MS)
        core_export_note(export, NULL, job,
                         "systemd makes up for a slot however old it is, not only within %s",
                         rc_format_duration(job->catchup_window_ms, text));
    if (job->notify.len)
        core_export_note(export, NULL, job, "notify is the daemon's: nobody is told here");
}

/* ---- service --------------------------------------------------------------------------------- */

/*
 * Attempts are limited by how often the service may be started within the time between two slots,
 * so that the next slot begins to count anew. False: they would not fit in there.
 */
static bool add_start_limit(const struct core_job_settings *job, const struct core_times *times,
                            struct rc_buf *out)
{
    int64_t room_ms = times->shortest_ms == INT64_MAX ? RC_DAY_MS : times->shortest_ms;

    if (job->retry.attempts == 1)
        return true;
    if (room_ms <= job->retry.attempts * job->retry.backoff_ms + 1000)
        return false;
    rc_buf_addf(out, "StartLimitIntervalSec=%" PRId64 "\nStartLimitBurst=%" PRId64 "\n",
                room_ms / 1000 - 1, job->retry.attempts);
    return true;
}

static void add_unit(struct core_export *export, const struct core_job_settings *job,
                     const struct core_times *times, bool *retries, struct rc_buf *out)
{
    rc_buf_adds(out, "[Unit]\nDescription=run-core job ");
    add_text(out, job->name);
    rc_buf_adds(out, "\nDocumentation=man:run-core(1)\n"
                     "Wants=network-online.target\nAfter=network-online.target\n");
    *retries = add_start_limit(job, times, out) && job->retry.attempts > 1;
    if (!*retries && job->retry.attempts > 1)
        core_export_note(export, NULL, job,
                         "there is too little time between two slots for systemd to count "
                         "attempts, so nothing is tried again");
    else if (*retries && job->retry.skipped)
        core_export_note(export, NULL, job,
                         "to systemd, a run that is skipped at its last attempt has failed");
    if (*retries && job->retry.attempts > 2)
        core_export_note(export, NULL, job,
                         "systemd waits equally long before each further attempt");
}

static void add_limits(const struct core_job_settings *job, struct rc_buf *out)
{
    if (job->limits.memory_bytes)
        rc_buf_addf(out, "MemoryMax=%" PRId64 "\n", job->limits.memory_bytes);
    if (job->limits.address_space_bytes)
        rc_buf_addf(out, "LimitAS=%" PRId64 "\n", job->limits.address_space_bytes);
    if (job->limits.cpu_ms)
        rc_buf_addf(out, "LimitCPU=%" PRId64 "\n", core_export_seconds(job->limits.cpu_ms));
    if (job->limits.file_bytes)
        rc_buf_addf(out, "LimitFSIZE=%" PRId64 "\n", job->limits.file_bytes);
    if (job->limits.nice)
        rc_buf_addf(out, "Nice=%" PRId64 "\n", job->limits.nice);
}

/* What no job needs. Where it reads and writes only its configuration knows, so that stays open. */
static void add_hardening(struct rc_buf *out)
{
    rc_buf_adds(out, "User=run-core\n"
                     "StateDirectory=run-core\n"
                     "EnvironmentFile=-/etc/run-core/environment\n"
                     "UMask=0027\n"
                     "NoNewPrivileges=yes\n"
                     "CapabilityBoundingSet=\n"
                     "PrivateTmp=yes\n"
                     "PrivateDevices=yes\n"
                     "ProtectSystem=full\n"
                     "ProtectClock=yes\n"
                     "ProtectControlGroups=yes\n"
                     "ProtectHostname=yes\n"
                     "ProtectKernelLogs=yes\n"
                     "ProtectKernelModules=yes\n"
                     "ProtectKernelTunables=yes\n"
                     "LockPersonality=yes\n"
                     "RestrictNamespaces=yes\n"
                     "RestrictRealtime=yes\n"
                     "RestrictSUIDSGID=yes\n"
                     "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
                     "SystemCallArchitectures=native\n");
}

static void add_service(struct core_export *export, const struct core_job_settings *job,
                        const struct core_times *times)
{
    RC_BUF_AUTO(out, CORE_EXPORT_TEXT_BYTES);
    const int64_t kill_s = core_export_seconds(job->kill_after_ms);
    bool retries;

    add_unit(export, job, times, &retries, &out);
    rc_buf_adds(&out, "\n[Service]\nType=oneshot\nExecStart=");
    rc_buf_adds(&out, own_path(export));
    add_word(&out, "run");
    add_word(&out, job->name);
    add_word(&out, "--config");
    add_word(&out, export->config_path);
    /*
     * 3: another run holds the lock, or a precondition says not now. systemd begins a oneshot
     * service anew after a failure alone.
     */
    rc_buf_adds(&out, retries && job->retry.skipped ? "\n" : "\nSuccessExitStatus=3\n");
    if (job->timeout_ms)
        rc_buf_addf(&out, "TimeoutStartSec=%" PRId64 "\n",
                    core_export_seconds(job->timeout_ms) + kill_s + START_S);
    else
        rc_buf_adds(&out, "TimeoutStartSec=infinity\n");
    /* run-core passes the signal on to its worker; what is left after that is killed. */
    rc_buf_addf(&out, "TimeoutStopSec=%" PRId64 "\nKillMode=mixed\n", kill_s + STOP_S);
    if (retries)
        rc_buf_addf(&out,
                    "Restart=on-failure\nRestartSec=%" PRId64 "ms\nRestartPreventExitStatus=2\n",
                    job->retry.backoff_ms);
    add_limits(job, &out);
    add_hardening(&out);
    core_export_add(export, core_arena_strf(&export->arena, "run-core-%s.service", job->name),
                    &out);
}

/* ---- timer ----------------------------------------------------------------------------------- */

static void add_timer(struct core_export *export, const struct core_job_settings *job,
                      const struct core_times *times, const char *lines)
{
    RC_BUF_AUTO(out, CORE_EXPORT_TEXT_BYTES);

    rc_buf_adds(&out, "[Unit]\nDescription=run-core job ");
    add_text(&out, job->name);
    rc_buf_adds(&out, " at '");
    add_text(&out, job->schedule);
    rc_buf_addf(&out, "', %s\nDocumentation=man:run-core(1)\n\n[Timer]\n%sAccuracySec=1s\n",
                times->zone, lines);
    if (times->kind != CORE_SCHEDULE_STARTUP)
        rc_buf_addf(&out, "Persistent=%s\n", job->misfire == CORE_MISFIRE_SKIP ? "no" : "yes");
    rc_buf_adds(&out, "\n[Install]\nWantedBy=timers.target\n");
    core_export_add(export, core_arena_strf(&export->arena, "run-core-%s.timer", job->name), &out);
}

/* StateDirectory= is the folder that run-core takes by default. */
static void note_state(struct core_export *export)
{
    const char *state = export->config->settings.state;

    if (!state || rc_str_starts(state, "postgres") || strstr(state, STATE_FOLDER "/") ||
        rc_str_eq(state, STATE_FOLDER))
        return;
    core_export_note(export, NULL, NULL,
                     "core.state is '%s': the user run-core must be able to write there", state);
}

void core_export_systemd(struct core_export *export)
{
    note_state(export);
    for (size_t i = 0; i < export->job_count; i++) {
        const struct core_job_settings *job = export->jobs[i];
        RC_BUF_AUTO(lines, 64 * 1024);
        struct rc_error err = RC_ERROR_INIT;
        struct core_times times;

        if (core_times_read(job, core_clock_now_unix_ms(), &times, &err)) {
            core_problem_add(export->problems, &job->place, "job '%s': %s%s%s", job->name,
                             err.context, err.context[0] ? ": " : "", err.cause);
            continue;
        }
        if (core_systemd_schedule(&times, &lines, &err)) {
            core_problem_add(export->problems, &job->place,
                             "job '%s': systemd cannot keep the schedule '%s': %s; leave the job "
                             "to the daemon",
                             job->name, job->schedule, err.cause);
            continue;
        }
        note_differences(export, job, &times);
        add_timer(export, job, &times, lines.data);
        add_service(export, job, &times);
    }
}
