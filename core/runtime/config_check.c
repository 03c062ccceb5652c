/*
 * The check of a configuration against its plugins, and the child process in which it is made where
 * no plugin's code may run in this one.
 */
#include <runtime/config_check.h>

#include <base/nearest.h>
#include <db/db.h>
#include <os/clock.h>
#include <os/path.h>
#include <runtime/binding.h>
#include <runtime/job_schedule.h>
#include <sql/engine.h>
#include <storage/storage.h>

#include <run-core/str.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The plugins that are loaded so far, each once. */
struct loaded {
    const char *name;
    struct core_plugin *plugin; /* NULL: could not be loaded, which has been said */
    bool has_job;
};

struct check {
    const struct core_config *config;
    struct core_problems *problems;
    char *current;
    struct loaded *loaded;
    size_t loaded_count;
};

static void set_current(struct check *check, const char *plugin)
{
    (void)snprintf(check->current, CORE_CHECK_NAME, "%s", plugin);
}

static void add_error(struct check *check, const struct core_place *place,
                      const struct rc_error *err)
{
    core_problem_add(check->problems, place, "%s%s%s", err->context, err->context[0] ? ": " : "",
                     err->cause);
}

/* The plugin of that name. What is wrong with it is reported where it is first named. */
static struct loaded *load(struct check *check, const char *name, const struct core_place *place)
{
    const struct core_plugin_settings *settings = core_config_plugin(check->config, name);
    struct rc_error err = RC_ERROR_INIT;
    struct loaded *loaded;
    RC_STR_AUTO path = NULL;

    for (size_t i = 0; i < check->loaded_count; i++)
        if (strcmp(check->loaded[i].name, name) == 0)
            return &check->loaded[i];
    loaded = &check->loaded[check->loaded_count++];
    loaded->name = name;
    if (settings)
        place = &settings->place;
    if (core_plugin_find(check->config, name, &path, &err) ||
        core_plugin_load(path, &loaded->plugin, &err)) {
        loaded->plugin = NULL;
        add_error(check, place, &err);
    }
    return loaded;
}

static void report_unknown_action(struct check *check, const struct core_job_settings *job,
                                  const struct core_plugin *plugin)
{
    const char **names = rc_calloc(plugin->action_count, sizeof(*names));
    const char *nearest;

    for (size_t i = 0; i < plugin->action_count; i++)
        names[i] = plugin->actions[i].name;
    nearest = core_nearest(job->action, names, plugin->action_count);
    free(names);
    core_problem_add(check->problems, &job->place, "job '%s': plugin '%s' has no action '%s'%s%s%s",
                     job->name, plugin->name, job->action, nearest ? "; did you mean '" : "",
                     nearest ? nearest : "", nearest ? "'?" : "");
}

static void check_job(struct check *check, const struct core_job_settings *job)
{
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_binding_source source = { .config = check->config, .job = job };
    const struct core_action *action;
    struct core_binding binding;
    struct loaded *loaded;

    if (!job->plugin) /* has been reported by the configuration */
        return;
    set_current(check, job->plugin);
    loaded = load(check, job->plugin, &job->place);
    loaded->has_job = true;
    if (!loaded->plugin)
        return;
    action = core_plugin_action(loaded->plugin, job->action);
    if (!action) {
        report_unknown_action(check, job, loaded->plugin);
        return;
    }
    source.plugin = core_config_plugin(check->config, job->plugin);
    if (!core_binding_make(loaded->plugin, action, &source, &arena, &binding, check->problems)) {
        /* Said in the problems. */
    }
    core_arena_clear(&arena);
}

/*
 * The defaults that a plugin section gives to runs without a job. What is required may still come
 * from the command line, so only what is there is judged: a missing value is reported at a place
 * that is recognised and dropped.
 */
static void check_defaults(struct check *check, const struct core_plugin_settings *settings)
{
    static const char missing[] = "a value that is missing";
    const struct core_place place = { .file = missing };
    struct loaded *loaded;
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_layers layers = { .count = 0 };
    struct core_option_table *tables;
    size_t table_count;

    set_current(check, settings->name);
    loaded = load(check, settings->name, &settings->place);
    if (!loaded->plugin || loaded->has_job)
        return;

    CORE_PROBLEMS_AUTO(found);
    table_count = loaded->plugin->action_count + 1;
    tables = rc_calloc(table_count, sizeof(*tables));
    tables[0] = loaded->plugin->options;
    for (size_t i = 0; i < loaded->plugin->action_count; i++)
        tables[i + 1] = loaded->plugin->actions[i].params;

    core_config_layers(&arena, NULL, NULL, settings, NULL, core_options_whole(tables, table_count),
                       &layers, &found);
    for (size_t i = 0; i < layers.count; i++)
        if (layers.nodes[i])
            core_options_check_keys(layers.nodes[i], tables, table_count,
                                    core_arena_strf(&arena, "plugin '%s'", settings->name), &found);
    core_options_bind(&tables[0], layers.nodes, layers.count, &place,
                      core_arena_alloc(&arena, loaded->plugin->config_size), &arena, &found);
    for (const struct core_problem *problem = found.first; problem; problem = problem->next)
        if (!rc_str_eq(problem->place.file, missing))
            core_problem_add(check->problems, &problem->place, "%s", problem->message);
    free(tables);
    core_arena_clear(&arena);
}

static void check_state(const struct core_config *config, struct core_problems *problems)
{
    const struct core_settings *settings = &config->settings;
    struct rc_error err;

    if (settings->state && core_db_check(settings->state, &err))
        core_problem_add(problems, &settings->state_place, "%s", err.cause);
}

/* What is wrong with an engine although each of its keys is right. */
static void check_engines(struct check *check)
{
    const struct core_config *config = check->config;
    struct core_storage *storage =
        core_storage_new(config->stores, config->store_count, NULL, NULL);

    for (size_t i = 0; i < config->engine_count; i++) {
        const struct core_engine_settings *settings = &config->engines[i];
        struct rc_error err = RC_ERROR_INIT;

        /* An entry that is no map has been told of, and has no settings. */
        if (settings->engine && core_engine_check(settings, storage, &err))
            core_problem_add(check->problems, &settings->place, "the engine '%s': %s%s%s",
                             settings->name, err.context, *err.context ? ": " : "", err.cause);
    }
    core_storage_free(storage);
}

size_t core_config_check(const struct core_config *config, struct core_problems *problems,
                         char current[CORE_CHECK_NAME])
{
    struct check this_check = { .config = config, .problems = problems, .current = current };
    struct check *check = &this_check;

    check_state(config, problems);
    check_engines(check);
    core_job_schedule_check(config, problems);
    check->loaded = rc_calloc(config->job_count + config->plugin_count + 1, sizeof(struct loaded));
    for (size_t i = 0; i < config->job_count; i++)
        check_job(check, &config->jobs[i]);
    for (size_t i = 0; i < config->plugin_count; i++)
        check_defaults(check, &config->plugins[i]);
    for (size_t i = 0; i < check->loaded_count; i++)
        core_plugin_free(check->loaded[i].plugin);
    free(check->loaded);
    set_current(check, "");
    return check->loaded_count;
}

/* ---- in a child --------------------------------------------------------------------------- */

enum { REPORT_BYTES = 16 * 1024 * 1024 };

static void write_report(int fd, const struct core_problems *problems)
{
    RC_BUF_AUTO(report, REPORT_BYTES);

    for (const struct core_problem *problem = problems->first; problem; problem = problem->next) {
        const char *file = problem->place.file ? problem->place.file : "";
        rc_buf_addf(&report, "%d %d", problem->place.line, problem->place.column);
        rc_buf_add(&report, "", 1);
        rc_buf_add(&report, file, strlen(file) + 1);
        rc_buf_add(&report, problem->message, strlen(problem->message) + 1);
    }
    (void)core_fd_write(fd, report.data, report.len);
}

/* The next of the texts, each of which ends with a NUL; NULL: there is none. */
static const char *next_text(const struct rc_buf *report, size_t *at)
{
    const char *text = report->data + *at;

    if (*at >= report->len)
        return NULL;
    *at += strlen(text) + 1;
    return text;
}

static void read_report(int fd, struct core_problems *problems)
{
    RC_BUF_AUTO(report, REPORT_BYTES);
    char part[65536];
    off_t offset = 0;
    ssize_t len;
    size_t at = 0;
    const char *numbers, *file, *message;

    for (; (len = pread(fd, part, sizeof(part), offset)) > 0; offset += len)
        rc_buf_add(&report, part, (size_t)len);
    while ((numbers = next_text(&report, &at)) && (file = next_text(&report, &at)) &&
           (message = next_text(&report, &at))) {
        struct core_place place = { .file = file };
        if (sscanf(numbers, "%d %d", &place.line, &place.column) == 2)
            core_problem_add(problems, &place, "%s", message);
    }
}

/* Waits for the child, which is killed when its time is up, or when that could not be told. */
static int wait_for(pid_t child, int64_t timeout_ms)
{
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    struct pollfd ready = { .fd = pidfd, .events = POLLIN };
    int64_t until_ms = core_clock_mono_ms() + timeout_ms;
    int status = 0;

    if (pidfd < 0)
        kill(child, SIGKILL);
    while (pidfd >= 0) {
        int64_t left_ms = until_ms - core_clock_mono_ms();
        int count = poll(&ready, 1, left_ms > 0 ? (int)left_ms : 0);

        if (count > 0)
            break;
        if (count == 0) {
            kill(child, SIGKILL);
            break;
        }
    }
    core_fd_close(&pidfd);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

/* 'current' says whose code ran last, and nothing once the check has come to its end. */
static enum rc_code judge_end(int status, const char *current, struct rc_error *err)
{
    if (WIFSIGNALED(status))
        return rc_fail(err, RC_INVALID,
                       "the check of the configuration was ended by signal %d (%s) in the plugin "
                       "'%.*s', which crashed or hung while it was loaded or checked its options",
                       WTERMSIG(status), strsignal(WTERMSIG(status)), CORE_CHECK_NAME - 1, current);
    if (WEXITSTATUS(status) != 0 || current[0] != '\0')
        return rc_fail(err, RC_INVALID,
                       "the check of the configuration ended with status %d in the plugin '%.*s', "
                       "which ended the process while it was loaded or checked its options",
                       WEXITSTATUS(status), CORE_CHECK_NAME - 1, current);
    return RC_OK;
}

enum rc_code core_config_check_apart(const struct core_config *config, int64_t timeout_ms,
                                     struct core_problems *problems, struct rc_error *err)
{
    int fd = memfd_create("run-core-check", MFD_CLOEXEC);
    char *current =
        mmap(NULL, CORE_CHECK_NAME, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t self = getpid();
    pid_t child = fd < 0 || current == MAP_FAILED ? -1 : fork();
    enum rc_code code = RC_OK;
    int status;

    if (child == 0) {
        /* A plugin that hangs would stay for good if its daemon is killed meanwhile. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self)
            _exit(1);
        core_config_check(config, problems, current);
        write_report(fd, problems);
        _exit(0);
    }
    if (child < 0) {
        code = rc_fail_errno(err, errno, "cannot start the check of the configuration");
    } else {
        status = wait_for(child, timeout_ms);
        code = judge_end(status, current, err);
        if (code == RC_OK)
            read_report(fd, problems);
    }
    if (current != MAP_FAILED)
        munmap(current, CORE_CHECK_NAME);
    if (fd >= 0)
        close(fd);
    return code;
}
