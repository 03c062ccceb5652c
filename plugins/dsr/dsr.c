/*
 * The descriptor: what the plugin is called, takes and does.
 */
#include "run.h"

static const struct rc_action actions[] = {
    { .name = "cleanup",
      .summary = "Erases every user that a marker names, and archives the markers.",
      .params = dsr_cleanup_params,
      .params_size = sizeof(struct dsr_params),
      .run = dsr_cleanup_run },
    { .name = "plan",
      .summary = "Names the files that hold a user and the rows that they would lose.",
      .params = dsr_cleanup_params,
      .params_size = sizeof(struct dsr_params),
      .run = dsr_plan_run },
    { .name = "report",
      .summary = "Prints the record of what was erased.",
      .params = dsr_report_params,
      .params_size = sizeof(struct dsr_report_params),
      .run = dsr_report_run },
    { 0 },
};

static const struct rc_plugin dsr = {
    RC_PLUGIN_HEAD,
    .name = "dsr",
    .version = "1.0",
    .summary = "Erases users from sharded Parquet dumps.",
    .options = dsr_options,
    .config_size = sizeof(struct dsr_config),
    .actions = actions,
    .check = dsr_check_config,
    .check_engine = dsr_check_engine,
    .engine_features = RC_SQL_FILES | RC_SQL_SEARCH | RC_SQL_IN_PLACE,
};
RC_PLUGIN_EXPORT(dsr)
