/*
 * 'run-core check': everything that a run would find wrong with the configuration, found without
 * running anything but the plugins' own check of their options.
 */
#include <cli/arguments.h>
#include <cli/output.h>

#include <base/nearest.h>
#include <runtime/binding.h>
#include <schedule/time_zone.h>

#include <run-core/str.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The plugins that are loaded so far, each once. */
struct loaded {
    const char *name;
    struct core_plugin *plugin; /* NULL: could not be loaded, which has been said */
    bool has_job;
};

enum { NAME_BYTES = 64 };

struct check {
    struct core_config *config;
    struct core_problems *problems;
    char *current; /* NAME_BYTES, shared with the parent: the plugin whose code may run now */
    struct loaded *loaded;
    size_t loaded_count;
};

static void set_current(struct check *check, const char *plugin)
{
    (void)snprintf(check->current, NAME_BYTES, "%s", plugin);
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

static void check_time_zone(struct check *check, const struct core_job_settings *job)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_time_zone *zone;

    if (!job->time_zone)
        return;
    if (core_time_zone_load(job->time_zone, &zone, &err))
        add_error(check, &job->place, &err);
    else
        core_time_zone_free(zone);
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
    struct core_binding_source source = { .set = NULL, .job = job };
    const struct core_action *action;
    struct core_binding binding;
    struct loaded *loaded;

    check_time_zone(check, job);
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

    core_config_layers(&arena, NULL, NULL, settings, &layers, &found);
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

static void check_all(struct check *check)
{
    struct core_config *config = check->config;

    check->loaded = rc_calloc(config->job_count + config->plugin_count + 1, sizeof(struct loaded));
    for (size_t i = 0; i < config->job_count; i++)
        check_job(check, &config->jobs[i]);
    for (size_t i = 0; i < config->plugin_count; i++)
        check_defaults(check, &config->plugins[i]);
    for (size_t i = 0; i < check->loaded_count; i++)
        core_plugin_free(check->loaded[i].plugin);
    free(check->loaded);
}

/* The whole check, from reading the configuration to saying what was found. */
static int check_and_report(const char *path, char *current)
{
    CORE_PROBLEMS_AUTO(problems);
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    struct check check = { .problems = &problems, .current = current };
    int status;

    check.config = core_config_load(path, &problems);
    check_all(&check);
    status = core_cli_report(&problems);
    if (status == CORE_EXIT_OK)
        rc_buf_addf(&out, "%s: no mistakes in %zu file%s, %zu plugin%s and %zu job%s\n", path,
                    check.config->file_count, check.config->file_count == 1 ? "" : "s",
                    check.loaded_count, check.loaded_count == 1 ? "" : "s", check.config->job_count,
                    check.config->job_count == 1 ? "" : "s");
    core_config_free(check.config);
    return core_cli_print(&out, status);
}

/* Waits for the child that checks, and says it if a plugin has ended that. */
static int wait_for_check(pid_t child, const char *current)
{
    struct rc_error err = RC_ERROR_INIT;
    int status = 0;

    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    (void)rc_fail(&err, RC_FAILED,
                  "the check was ended by signal %d (%s) in the plugin '%.*s', which crashed while "
                  "it was loaded or checked its options",
                  WTERMSIG(status), strsignal(WTERMSIG(status)), NAME_BYTES - 1, current);
    (void)core_cli_complain(&err);
    return CORE_EXIT_SIGNAL + WTERMSIG(status);
}

static int run_check(const struct core_arguments *arguments)
{
    const char *path = core_arguments_config_path(arguments);
    struct rc_error err = RC_ERROR_INIT;
    char *current;
    pid_t child;

    if (!path) {
        (void)rc_fail(&err, RC_INVALID,
                      "there is no configuration to check; name it with --config FILE|DIR");
        return core_cli_complain(&err);
    }
    /* Plugins are loaded in a child: one that crashes shall not take the message with it. */
    current = mmap(NULL, NAME_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    child = current == MAP_FAILED ? -1 : fork();
    if (child < 0) {
        (void)rc_fail_errno(&err, errno, "cannot start the check");
        (void)core_cli_complain(&err);
        return CORE_EXIT_FAILED;
    }
    if (child == 0)
        _exit(check_and_report(path, current));
    return wait_for_check(child, current);
}

const struct core_command core_command_check = {
    .name = "check",
    .summary = "Checks the configuration and reports every mistake in it.",
    .details = "Each mistake is a line FILE:LINE:COLUMN: MESSAGE on stderr, and the status is 2. "
               "No action runs.",
    .flags = CORE_FLAG_CONFIG,
    .run = run_check,
};
