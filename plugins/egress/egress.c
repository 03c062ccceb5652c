/*
 * The plugin: its descriptor, and the rules across its options. What an action does is in the file
 * of its name.
 */
#include "egress.h"
#include "compress.h"
#include "names.h"
#include "sides.h"

#include <string.h>

/* What PostgreSQL would refuse only once the database has been reached. */
static enum rc_code check_csv(const struct egress_config *config, struct rc_error *err)
{
    const char *delimiter = config->delimiter, *null_string = config->null_string;

    if (strlen(delimiter) != 1 || strchr("\"\r\n", delimiter[0]))
        return rc_fail(err, RC_INVALID,
                       "'delimiter' is '%s'; it has to be one character of one byte, and neither a "
                       "double quote nor the end of a line",
                       delimiter);
    if (strpbrk(null_string, "\"\r\n") || strchr(null_string, delimiter[0]))
        return rc_fail(err, RC_INVALID,
                       "'null_string' is '%s'; it may hold neither the delimiter nor a double "
                       "quote nor the end of a line",
                       null_string);
    if (strcmp(null_string, "\\.") == 0)
        return rc_fail(err, RC_INVALID,
                       "'null_string' is '\\.', which alone on a line ends what COPY reads");
    if (!*config->encoding)
        return rc_fail(err, RC_INVALID, "'encoding' is empty; leave it out for UTF8");
    return RC_OK;
}

static enum rc_code check_queries(const struct egress_config *config, struct rc_error *err)
{
    for (size_t i = 0; i < config->queries.len; i++) {
        const struct rc_pair *query = &config->queries.items[i];

        if (!*query->key)
            return rc_fail(err, RC_INVALID, "'queries' has a query without a name");
        if (query->value[strspn(query->value, "; \t\r\n")] == '\0')
            return rc_fail(err, RC_INVALID, "the query '%s' of 'queries' is empty", query->key);
    }
    return RC_OK;
}

/*
 * BUCKET/FOLDER, as the paths of the sync are written, would be a folder below wherever the run is
 * started, and the dump a success that nobody finds.
 */
static enum rc_code check_output(const char *output, struct rc_error *err)
{
    if (!output || !*output || *output == '/' || rc_str_starts(output, "./") ||
        rc_str_starts(output, "../"))
        return RC_OK;
    if (!rc_uri_has_scheme(output))
        return rc_fail(err, RC_INVALID,
                       "'output' (S3_OUTPUT) is '%s', which is no URI; write s3://BUCKET/FOLDER, "
                       "or a folder of this machine as /FOLDER or ./FOLDER",
                       output);
    return egress_uri_check(output, err) ? rc_context(err, "'output' (S3_OUTPUT)") : RC_OK;
}

enum rc_code egress_check_config(const void *data, struct rc_error *err)
{
    const struct egress_config *config = data;
    struct egress_compression compression;
    struct egress_layout layout;
    struct egress_names names;

    if (egress_names_read(&config->tables, &names, err))
        return rc_context(err, "option 'tables'");
    egress_names_clear(&names);
    if (egress_compression_read(config->compression, &compression, err))
        return rc_context(err, "option 'compression'");
    if (egress_layout_read(config->path, &layout, err))
        return rc_context(err, "option 'path'");
    if (check_output(config->output, err) || check_queries(config, err) ||
        egress_sides_check(config, err))
        return err->code;
    return check_csv(config, err);
}

static const struct rc_action actions[] = {
    { .name = "dump",
      .summary = "Dumps tables of a PostgreSQL database, all of one moment, to object storage.",
      .run = egress_dump },
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
    .check = egress_check_config,
};
RC_PLUGIN_EXPORT(egress)
