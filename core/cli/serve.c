/*
 * 'run-core serve PLUGIN': serves a plugin's HTTP routes in the foreground.
 */
#include <cli/arguments.h>
#include <cli/output.h>

#include <runtime/serve.h>

static const char default_listen[] = "127.0.0.1:8082";

static int run_serve(const struct core_arguments *arguments)
{
    CORE_PROBLEMS_AUTO(problems);
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_config *config = core_config_load(core_arguments_config_path(arguments), &problems);
    const struct core_serve_request request = {
        .config = config,
        .plugin = arguments->words[0],
        .set = core_config_parse_set(&arena, arguments->set.items, arguments->set.len, &problems),
        .listen = arguments->listen ? arguments->listen : default_listen,
        .dry_run = arguments->dry_run,
        .log_level =
            arguments->log_level.given ? arguments->log_level.level : config->settings.log_level,
    };
    int status = core_cli_report(&problems);

    if (status == CORE_EXIT_OK)
        status = core_serve_main(&request);
    core_config_free(config);
    core_arena_clear(&arena);
    return status;
}

const struct core_command core_command_serve = {
    .name = "serve",
    .operands = "PLUGIN",
    .summary = "Serves the HTTP routes of a plugin until it is asked to stop.",
    .details = "Listens on --listen, HOST:PORT or unix:PATH, by default 127.0.0.1:8082. Options of "
               "the plugin come from the section 'plugins' of the configuration, the environment "
               "and --set. Under 'run-core daemon' the key 'serve: true' of the plugin does the "
               "same, supervised.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_SET | CORE_FLAG_LISTEN | CORE_FLAG_DRY_RUN |
             CORE_FLAG_LOG_LEVEL | CORE_FLAG_VERBOSE | CORE_FLAG_QUIET,
    .min_words = 1,
    .max_words = 1,
    .run = run_serve,
};
