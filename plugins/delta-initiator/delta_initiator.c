/*
 * The plugin: its descriptor. What an action does is in the file of its name.
 */
#include "run.h"

/* The first is what a bare 'run-core delta-initiator' does: it changes nothing. */
static const struct rc_action actions[] = {
    { .name = "status",
      .summary = "Shows the jobs of each stream, and what would keep another one from being "
                 "created.",
      .params = delta_status_options,
      .params_size = sizeof(struct delta_status_params),
      .run = delta_status },
    { .name = "initial-sync",
      .summary = "Creates the job of the initial sync, once.",
      .params = delta_initial_sync_options,
      .params_size = sizeof(struct delta_create_params),
      .run = delta_initial_sync },
    { .name = "healing",
      .summary = "Creates the job of a healing, after the initial sync and if no other is active.",
      .params = delta_create_options,
      .params_size = sizeof(struct delta_create_params),
      .run = delta_healing },
    { .name = "dump",
      .summary = "Creates the job of a dump, if no other is active.",
      .params = delta_create_options,
      .params_size = sizeof(struct delta_create_params),
      .run = delta_dump },
    { .name = "clean",
      .summary = "Removes the jobs of a kind that are not active, with their tasks.",
      .params = delta_clean_options,
      .params_size = sizeof(struct delta_clean_params),
      .run = delta_clean_jobs },
    { 0 },
};

static const struct rc_plugin delta_initiator = {
    RC_PLUGIN_HEAD,
    .name = "delta-initiator",
    .version = "1.0",
    .summary = "Creates jobs of the delta producer in a SPARQL store, in the right order.",
    .options = delta_options,
    .config_size = sizeof(struct delta_config),
    .actions = actions,
    .routes = delta_routes,
    .check = delta_check_config,
};
RC_PLUGIN_EXPORT(delta_initiator)
