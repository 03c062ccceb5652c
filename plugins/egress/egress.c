/*
 * The plugin: its descriptor. What an action does is in the file of its name.
 */
#include "egress.h"

static const struct rc_action actions[] = {
    { .name = "sync",
      .summary = "Copies what is new or changed from one bucket or folder to another.",
      .run = egress_sync },
    { .name = "setup",
      .summary = "Creates the bucket for dumps, has it encrypt and expire, and checks its rules.",
      .run = egress_setup },
    { .name = "verify",
      .summary = "Reads a dump back and compares it with its manifest.",
      .params = egress_verify_options,
      .params_size = sizeof(struct egress_verify_params),
      .run = egress_verify },
    { 0 },
};

static const struct rc_plugin egress = {
    RC_PLUGIN_HEAD,
    .name = "egress",
    .version = "1.0",
    .summary = "Dumps tables of PostgreSQL to object storage, and keeps buckets alike.",
    .options = egress_options,
    .config_size = sizeof(struct egress_config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(egress)
