/*
 * 'run-core check-plugin': would this file load, and what does it declare? Nothing of it is run:
 * its descriptor is read from the file, and its libraries are looked up by the system's loader in
 * tracing mode.
 */
#include <cli/describe.h>
#include <cli/output.h>

#include <api/describe.h>
#include <cli/cli.h>
#include <os/file.h>
#include <runtime/image.h>

#include <run-core/str.h>

#include <string.h>

enum { MISSING_BYTES = 64 * 1024, MAX_FAULTS = 64 };

/* Why a file would not load. All faults are found, not only the first. */
struct faults {
    char *items[MAX_FAULTS];
    size_t count;
};

static void faults_clear(struct faults *faults)
{
    for (size_t i = 0; i < faults->count; i++)
        rc_str_free(&faults->items[i]);
}

static void add_fault(struct faults *faults, char *text)
{
    if (faults->count < MAX_FAULTS)
        faults->items[faults->count++] = text;
    else
        rc_str_free(&text);
}

static void add_error(struct faults *faults, const struct rc_error *err)
{
    add_fault(faults, rc_strf("%s%s%s", err->context, err->context[0] ? ": " : "", err->cause));
}

static void look_for_missing(const char *path, struct faults *faults)
{
    RC_BUF_AUTO(missing, MISSING_BYTES);
    struct rc_error err = RC_ERROR_INIT;

    /* Where nobody can be asked, the loader will tell at the run. */
    if (core_image_unresolved(path, &missing, &err)) {
        if (err.code != RC_UNSUPPORTED)
            add_error(faults, &err);
        return;
    }
    for (char *line = missing.data; *line;) {
        size_t len = strcspn(line, "\n");
        size_t step = len + (line[len] ? 1 : 0);

        line[len] = '\0';
        add_fault(faults, rc_strf("'%s' needs the %s, which is not there; install it, or link the "
                                  "library that has it",
                                  path, line));
        line += step;
    }
}

/* Gathers all that speaks against the file; 'image' is filled where it has a good descriptor. */
static void examine(const char *path, struct core_image *image, struct faults *faults)
{
    struct rc_error err = RC_ERROR_INIT;

    if (core_file_check_trusted(path, &err)) {
        add_error(faults, &err);
        if (err.code == RC_NOT_FOUND)
            return;
    }
    if (core_image_open(path, image, &err))
        add_error(faults, &err);
    else
        look_for_missing(path, faults);
}

static void add_json(const char *path, const struct core_image *image, const struct faults *faults,
                     struct rc_buf *out)
{
    rc_buf_adds(out, "{\"file\":");
    core_cli_add_json(out, path);
    rc_buf_addf(out, ",\"loads\":%s,\"faults\":[", faults->count ? "false" : "true");
    for (size_t i = 0; i < faults->count; i++) {
        rc_buf_adds(out, i ? "," : "");
        core_cli_add_json(out, faults->items[i]);
    }
    rc_buf_adds(out, "],\"plugin\":");
    if (image->plugin)
        core_describe_add_json(image->plugin, out);
    else
        rc_buf_adds(out, "null");
    rc_buf_adds(out, "}\n");
}

static int run_check_plugin(const struct core_arguments *arguments)
{
    const char *path = arguments->words[0];
    RC_CLEANUP(core_image_close) struct core_image image = CORE_IMAGE_INIT;
    RC_CLEANUP(faults_clear) struct faults faults = { .count = 0 };
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);

    examine(path, &image, &faults);
    if (arguments->json) {
        add_json(path, &image, &faults, &out);
    } else {
        for (size_t i = 0; i < faults.count; i++) {
            struct rc_error err = RC_ERROR_INIT;

            (void)rc_fail(&err, RC_INVALID, "%s", faults.items[i]);
            (void)core_cli_complain(&err);
        }
        if (faults.count == 0)
            rc_buf_addf(&out, "'%s' would load.\n\n", path);
        if (image.plugin)
            core_describe_add_text(image.plugin, &out);
    }
    return core_cli_print(&out, faults.count ? CORE_EXIT_USAGE : CORE_EXIT_OK);
}

const struct core_command core_command_check_plugin = {
    .name = "check-plugin",
    .operands = "FILE.so",
    .summary = "Says whether a plugin's file would load, and what it declares.",
    .details = "Nothing of the file is run. The status is 2 if it would not load.",
    .flags = CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = 1,
    .run = run_check_plugin,
};
