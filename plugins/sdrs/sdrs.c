/*
 * The plugin: its descriptor. What an action does is in the file of its name.
 */
#include "rest/request.h"
#include "run.h"

static const struct rc_action actions[] = {
    { .name = "execute",
      .summary = "Moves what rules keep no longer to the shadow buckets.",
      .params = sdrs_execute_params,
      .params_size = sizeof(struct sdrs_scope_params),
      .run = sdrs_execute },
    { .name = "validate",
      .summary = "Finds out what became of jobs that are under way, and begins lost events.",
      .run = sdrs_validate },
    { .name = "dm-batch", .summary = "Moves what delete markers ask for.", .run = sdrs_dm_batch },
    { .name = "dm-cleanup",
      .summary = "Settles delete markers whose job has ended, and forgets what has long ended.",
      .run = sdrs_dm_cleanup },
    { .name = "plan",
      .summary = "Shows what an execution would move: of each rule the objects, their bytes, the "
                 "oldest and the newest.",
      .params = sdrs_plan_params,
      .params_size = sizeof(struct sdrs_scope_params),
      .run = sdrs_plan },
    { .name = "restore",
      .summary =
          "Brings back from shadow buckets what a rule, an execution or a prefix has lost to "
          "them.",
      .params = sdrs_restore_options,
      .params_size = sizeof(struct sdrs_restore_params),
      .run = sdrs_restore },
    { .name = "purge",
      .summary = "Removes for ever what has been in shadow buckets for longer than some days.",
      .params = sdrs_purge_params,
      .params_size = sizeof(struct sdrs_purge_params),
      .run = sdrs_purge },
    { .name = "import-rules",
      .summary = "Takes over the rules of the older system, of which a table is given as CSV.",
      .params = sdrs_import_params,
      .params_size = sizeof(struct sdrs_import_params),
      .run = sdrs_import_rules },
    { 0 },
};

static const struct rc_plugin sdrs = {
    RC_PLUGIN_HEAD,
    .name = "sdrs",
    .version = "1.0",
    .summary = "Moves data whose retention is over to a shadow bucket, by the time in its path.",
    .options = sdrs_options,
    .config_size = sizeof(struct sdrs_config),
    .actions = actions,
    .routes = sdrs_routes,
    .check = sdrs_check_config,
};
RC_PLUGIN_EXPORT(sdrs)
