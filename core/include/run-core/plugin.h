/*
 * The plugin contract: one exported descriptor.
 *
 *     static const struct rc_action copy_actions[] = {
 *         { .name = "copy", .summary = "Copies the object once.", .run = copy_run },
 *         { 0 },
 *     };
 *
 *     static const struct rc_plugin copy_plugin = {
 *         RC_PLUGIN_HEAD,
 *         .name = "copy", .version = "1.0", .summary = "Copies one object between stores.",
 *         .options = copy_options, .config_size = sizeof(struct copy_config),
 *         .actions = copy_actions,
 *     };
 *     RC_PLUGIN_EXPORT(copy_plugin)
 *
 * A plugin includes only run-core headers, links only librc_base.a, and reaches the world
 * through the job that it is handed. The process that runs it runs nothing else, so
 * its static variables begin fresh in each run.
 */
#ifndef RUN_CORE_PLUGIN_H
#define RUN_CORE_PLUGIN_H

#include <run-core/attr.h>
#include <run-core/buf.h>
#include <run-core/error.h>
#include <run-core/exchange.h>
#include <run-core/host.h>
#include <run-core/option.h>
#include <run-core/str.h>
#include <run-core/time.h>
#include <run-core/uri.h>

#include <stdint.h>

#define RC_PLUGIN_MAGIC 0x5243504Cu /* "RCPL" */

/*
 * The major number changes when something that exists changes its meaning or place, the minor one
 * when something is added at the end of a struct. A plugin loads where the major number is the
 * same and its minor number is not above the host's.
 */
#define RC_ABI_MAJOR 1u
#define RC_ABI_MINOR 8u

struct rc_action {
    const char *name;
    const char *summary;
    const struct rc_option *params; /* optional, ends with { 0 }; names not among the options */
    size_t params_size;             /* of the struct that they fill; job->params points to it */

    /*
     * Does the work. RC_SKIPPED says that a precondition does not hold now, any
     * other code but RC_OK that the run failed. 'config' is the filled struct of the
     * plugin's options. Called once in a process.
     */
    enum rc_code (*run)(struct rc_job *job, const void *config, struct rc_error *err);
};

/*
 * A path that 'run-core serve' answers. 'path' begins with '/' and may hold {names}, each for one
 * part between slashes; a plain part goes before a name. Since 1.7 a {name*} at the end stands for
 * all that is left, and the method "*" for each that no other route of the path answers. See
 * exchange.h for how handlers answer.
 */
struct rc_route {
    const char *method, *path, *summary;
    enum rc_code (*handle)(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                           struct rc_error *err);
};

struct rc_plugin {
    /* RC_PLUGIN_HEAD: read and checked before all else, and in every version at this place. */
    uint32_t magic, abi_major, abi_minor;
    uint32_t plugin_size, option_size, action_size, route_size;

    const char *name; /* lower-case letters, digits and '-', at most 63 */
    const char *version, *summary;
    const struct rc_option *options; /* optional, ends with { 0 } */
    size_t config_size;              /* the core allocates, fills and frees it */
    const struct rc_action *actions; /* ends with { 0 }; the first is the default */
    const struct rc_route *routes;   /* optional, ends with { 0 } */

    /*
     * Optional. Rules across options: no I/O, no state, no memory kept. Called before
     * every run and by 'run-core check'. Returns RC_INVALID.
     */
    enum rc_code (*check)(const void *config, struct rc_error *err);

    /*
     * Optional. Whether the configuration asks an SQL engine for what it cannot do: called as
     * 'check' is, and after it, with the engine that the option with RC_OPT_ENGINE names. Returns
     * RC_INVALID. Since 1.7.
     */
    enum rc_code (*check_engine)(const void *config, const struct rc_sql_engine *engine,
                                 struct rc_error *err);
    /*
     * Of enum rc_sql_feature: what it makes use of where the engine can do it, for 'run-core
     * describe'. Since 1.7.
     */
    uint32_t engine_features;
};

#define RC_PLUGIN_HEAD                                                                             \
    .magic = RC_PLUGIN_MAGIC, .abi_major = RC_ABI_MAJOR, .abi_minor = RC_ABI_MINOR,                \
    .plugin_size = sizeof(struct rc_plugin), .option_size = sizeof(struct rc_option),              \
    .action_size = sizeof(struct rc_action), .route_size = sizeof(struct rc_route)

#define RC_PLUGIN_SYMBOL "rc_plugin_descriptor"

/*
 * Exports the descriptor: the one symbol that the loader looks up. It is data, so looking runs
 * nothing.
 */
#ifdef __cplusplus
#define RC_PLUGIN_EXPORT(descriptor)                                                               \
    extern "C" {                                                                                   \
    RC_EXPORT extern const struct rc_plugin *const rc_plugin_descriptor;                           \
    const struct rc_plugin *const rc_plugin_descriptor = &(descriptor);                            \
    }
#else
#define RC_PLUGIN_EXPORT(descriptor)                                                               \
    RC_EXPORT extern const struct rc_plugin *const rc_plugin_descriptor;                           \
    const struct rc_plugin *const rc_plugin_descriptor = &(descriptor);
#endif

#endif
