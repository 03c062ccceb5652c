/*
 * 'run-core export FORM [JOB...]': the jobs of the configuration in the words of another system.
 * Here the configuration is read and the documents are put out; what is in them is left to
 * export_kubernetes.c and export_systemd.c.
 */
#include <cli/export.h>

#include <cli/arguments.h>
#include <cli/output.h>
#include <config/secrets.h>
#include <os/file.h>

#include <base/nearest.h>

#include <run-core/str.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTE_BYTES = 4096, MOST_WORDS = 10000, HASH_DIGITS = 8 };

static const char default_image[] = "run-core:" RUN_CORE_VERSION;

/* ---- what the forms share -------------------------------------------------------------------- */

static void keep_note(struct core_export *export, struct core_export_notes *notes, const char *text)
{
    if (notes->len == notes->capacity) {
        size_t capacity = notes->capacity ? notes->capacity * 2 : 4;
        const char **items = core_arena_alloc(&export->arena, capacity * sizeof(*items));

        if (notes->len)
            memcpy(items, notes->items, notes->len * sizeof(*items));
        notes->items = items;
        notes->capacity = capacity;
    }
    notes->items[notes->len++] = core_arena_strdup(&export->arena, text);
}

void core_export_note(struct core_export *export, struct core_export_notes *notes,
                      const struct core_job_settings *job, const char *format, ...)
{
    RC_BUF_AUTO(text, NOTE_BYTES);
    va_list arguments;

    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    core_secret_mask(text.data);
    if (notes)
        keep_note(export, notes, text.data);
    if (job)
        (void)fprintf(stderr, "%s: warning: job '%s': %s\n",
                      core_place_text(&job->place, &export->arena), job->name, text.data);
    else
        (void)fprintf(stderr, "run-core: warning: %s\n", text.data);
}

void core_export_add(struct core_export *export, const char *file, struct rc_buf *text)
{
    struct rc_error err = RC_ERROR_INIT;

    if (rc_buf_check(text, &err)) {
        core_problem_add(export->problems, &(struct core_place){ .file = file }, "%s", err.cause);
        return;
    }
    if (export->document_count == export->document_capacity) {
        size_t capacity = export->document_capacity ? export->document_capacity * 2 : 16;
        struct core_export_document *documents =
            core_arena_alloc(&export->arena, capacity * sizeof(*documents));

        if (export->document_count)
            memcpy(documents, export->documents, export->document_count * sizeof(*documents));
        export->documents = documents;
        export->document_capacity = capacity;
    }
    export->documents[export->document_count++] = (struct core_export_document){
        .file = core_arena_strdup(&export->arena, file),
        .text = core_arena_strndup(&export->arena, text->data, text->len),
    };
    rc_buf_reset(text);
}

uint64_t core_export_hash(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

int64_t core_export_seconds(int64_t ms)
{
    return ms / 1000 + (ms % 1000 != 0);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Lower case, and '-' for what is neither letter nor digit; not at its ends. */
static char *label_of(const char *name)
{
    char *label = rc_strdup(name);
    size_t len = strlen(label);

    for (size_t i = 0; i < len; i++) {
        label[i] = (char)tolower((unsigned char)label[i]);
        if (!isalnum((unsigned char)label[i]))
            label[i] = '-';
    }
    while (len > 0 && label[len - 1] == '-')
        label[--len] = '\0';
    return label;
}

/* Whether 'name' makes that label. */
static bool has_label(const char *name, const char *label)
{
    for (; *label; name++, label++) {
        unsigned char c = (unsigned char)tolower((unsigned char)*name);

        if ((isalnum(c) ? (char)c : '-') != *label || !*name)
            return false;
    }
    while (*name && !isalnum((unsigned char)*name))
        name++;
    return *name == '\0';
}

/* Whether another job's name makes the same label. A job that is named so itself keeps it. */
static bool is_taken(const struct core_export *export, const char *name, const char *label)
{
    if (strcmp(name, label) == 0)
        return false;
    for (size_t i = 0; i < export->config->job_count; i++) {
        const char *other = export->config->jobs[i].name;

        if (strcmp(other, name) != 0 && has_label(other, label))
            return true;
    }
    return false;
}

const char *core_export_label(struct core_export *export, const char *name, size_t limit)
{
    RC_STR_AUTO label = label_of(name);
    uint32_t hash = (uint32_t)core_export_hash(CORE_EXPORT_HASH, name);
    size_t len = strlen(label);

    if (len <= limit && !is_taken(export, name, label))
        return core_arena_strdup(&export->arena, label);
    if (len > limit - HASH_DIGITS - 1)
        len = limit - HASH_DIGITS - 1;
    return core_arena_strf(&export->arena, "%.*s-%0*" PRIx32, (int)len, label, HASH_DIGITS, hash);
}

/* ---- the jobs that are meant ----------------------------------------------------------------- */

static enum rc_code unknown_job(const struct core_config *config, const char *name,
                                struct rc_error *err)
{
    const char **names = rc_calloc(config->job_count + 1, sizeof(*names));
    const char *nearest;

    for (size_t i = 0; i < config->job_count; i++)
        names[i] = config->jobs[i].name;
    nearest = core_nearest(name, names, config->job_count);
    free(names);
    return rc_fail(err, RC_INVALID, "there is no job '%s'%s%s%s", name,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static void add_job(struct core_export *export, const struct core_job_settings *job)
{
    for (size_t i = 0; i < export->job_count; i++)
        if (export->jobs[i] == job)
            return;
    if (job->schedule_unknown)
        core_problem_add(export->problems, &job->place,
                         "job '%s': its schedule is a ${...} without a default, which only the "
                         "other machine knows; write the schedule out, or give a default",
                         job->name);
    else if (job->schedule)
        export->jobs[export->job_count++] = job;
    else if (export->named)
        core_problem_add(export->problems, &job->place,
                         "job '%s' has no schedule: it runs on demand only", job->name);
}

static enum rc_code choose_jobs(struct core_export *export, const char *const *names, size_t count,
                                struct rc_error *err)
{
    const struct core_config *config = export->config;

    export->named = count > 0;
    export->jobs = core_arena_alloc(&export->arena, (config->job_count + 1) * sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        const struct core_job_settings *job = core_config_job(config, names[i]);

        if (!job)
            return unknown_job(config, names[i], err);
        add_job(export, job);
    }
    for (size_t i = 0; count == 0 && i < config->job_count; i++)
        add_job(export, &config->jobs[i]);
    return RC_OK;
}

/* ---- forms ----------------------------------------------------------------------------------- */

static const struct form {
    const char *name, *as; /* the first of a name is its default */
    void (*write)(struct core_export *export);
    bool takes_jobs, is_kubernetes;
} forms[] = {
    { "kubernetes", "cronjobs", core_export_kubernetes_jobs, true, true },
    { "kubernetes", "daemon", core_export_kubernetes_daemon, false, true },
    { "systemd", "timers", core_export_systemd, true, false },
};

static enum rc_code find_form(const struct core_arguments *arguments, const struct form **out,
                              struct rc_error *err)
{
    RC_BUF_AUTO(as, 256);

    for (size_t i = 0; i < RC_ARRAY_LEN(forms); i++) {
        if (strcmp(forms[i].name, arguments->words[0]) != 0)
            continue;
        if (!arguments->as || strcmp(forms[i].as, arguments->as) == 0) {
            *out = &forms[i];
            return RC_OK;
        }
        rc_buf_addf(&as, "%s%s", as.len ? " or " : "", forms[i].as);
    }
    if (as.len)
        return rc_fail(err, RC_INVALID, "'--as %s': it is exported as %s", arguments->as, as.data);
    return rc_fail(err, RC_INVALID, "cannot export to '%s'; there are kubernetes and systemd",
                   arguments->words[0]);
}

/* Flags of the one form, given to the other, would be ignored without a word. */
static enum rc_code check_flags(const struct core_arguments *arguments, const struct form *form,
                                struct rc_error *err)
{
    if (!form->is_kubernetes && (arguments->image || arguments->name_space))
        return rc_fail(err, RC_INVALID, "'export systemd' takes no '--%s'",
                       arguments->image ? "image" : "namespace");
    if (!form->takes_jobs && arguments->word_count > 1)
        return rc_fail(err, RC_INVALID, "'--as %s' takes no jobs: the daemon keeps all of them",
                       form->as);
    return RC_OK;
}

/* ---- output ---------------------------------------------------------------------------------- */

static int write_files(const struct core_export *export, const char *folder)
{
    struct rc_error err = RC_ERROR_INIT;

    if (core_dir_make(folder, 0755, &err)) {
        (void)core_cli_complain(&err);
        return CORE_EXIT_FAILED;
    }
    for (size_t i = 0; i < export->document_count; i++) {
        const struct core_export_document *document = &export->documents[i];
        RC_STR_AUTO path = rc_strf("%s/%s", folder, document->file);

        if (core_file_write(path, document->text, strlen(document->text), 0644, &err)) {
            (void)core_cli_complain(&err);
            return CORE_EXIT_FAILED;
        }
        (void)printf("%s\n", path);
    }
    return fflush(stdout) == 0 ? CORE_EXIT_OK : CORE_EXIT_FAILED;
}

static int print_all(const struct core_export *export, bool is_kubernetes)
{
    int status = CORE_EXIT_OK;

    for (size_t i = 0; i < export->document_count && status == CORE_EXIT_OK; i++) {
        const struct core_export_document *document = &export->documents[i];
        RC_BUF_AUTO(text, CORE_EXPORT_TEXT_BYTES + 1024);

        if (is_kubernetes)
            rc_buf_adds(&text, "---\n");
        else
            rc_buf_addf(&text, "%s# %s\n", i ? "\n" : "", document->file);
        rc_buf_adds(&text, document->text);
        status = core_cli_print(&text, CORE_EXIT_OK);
    }
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum rc_code export_all(struct core_export *export, const struct core_arguments *arguments,
                               const struct form *form, struct rc_error *err)
{
    const char *path = core_arguments_config_path(arguments);
    RC_STR_AUTO absolute = path ? realpath(path, NULL) : NULL;

    if (!path)
        return rc_fail(err, RC_INVALID,
                       "there is no configuration to export; name it with --config FILE|DIR");
    export->config_path = core_arena_strdup(&export->arena, absolute ? absolute : path);
    export->config = core_config_load_elsewhere(path, export->problems);
    if (export->problems->count)
        return RC_OK;
    export->is_daemon = !form->takes_jobs;
    core_export_read_files(export);
    if (form->takes_jobs &&
        choose_jobs(export, arguments->words + 1, arguments->word_count - 1, err))
        return err->code;
    if (form->takes_jobs && export->job_count == 0 && export->problems->count == 0)
        return rc_fail(err, RC_INVALID, "%s: no job has a schedule, so there is nothing to export",
                       path);
    form->write(export);
    return RC_OK;
}

static int run_export(const struct core_arguments *arguments)
{
    CORE_PROBLEMS_AUTO(problems);
    struct core_export export = {
        .arena = CORE_ARENA_INIT,
        .problems = &problems,
        .image = arguments->image ? arguments->image : default_image,
        .name_space = arguments->name_space,
    };
    const struct form *form = NULL;
    struct rc_error err = RC_ERROR_INIT;
    int status;

    if (find_form(arguments, &form, &err) || check_flags(arguments, form, &err) ||
        export_all(&export, arguments, form, &err))
        status = core_cli_complain(&err);
    else
        status = core_cli_report(&problems);
    if (status == CORE_EXIT_OK)
        status = arguments->output ? write_files(&export, arguments->output)
                                   : print_all(&export, form->is_kubernetes);
    core_config_free(export.config);
    core_arena_clear(&export.arena);
    return status;
}

static void complete_export(const struct core_arguments *arguments, struct rc_buf *out)
{
    CORE_PROBLEMS_AUTO(ignored);
    struct core_config *config;

    if (arguments->word_count == 0) {
        rc_buf_adds(out, "kubernetes\nsystemd\n");
        return;
    }
    config = core_config_load_elsewhere(core_arguments_config_path(arguments), &ignored);
    for (size_t i = 0; i < config->job_count; i++)
        if (config->jobs[i].schedule)
            rc_buf_addf(out, "%s\n", config->jobs[i].name);
    core_config_free(config);
}

const struct core_command core_command_export = {
    .name = "export",
    .operands = "kubernetes|systemd [JOB...]",
    .summary = "Writes the jobs as CronJobs of Kubernetes, or as timers of systemd.",
    .details =
        "Without JOB, all that have a schedule; for Kubernetes, those with @startup are left "
        "out with a warning. What the other system cannot say is a "
        "warning on stderr, or, where it would run at other times, a mistake with status 2, "
        "and nothing is written. Values of ${env:...} and ${file:...} are never read: for "
        "Kubernetes they become references to the Secrets run-core-env and run-core-files. "
        "'--as daemon' writes a Deployment of the daemon instead, which says everything.",
    .flags =
        CORE_FLAG_CONFIG | CORE_FLAG_AS | CORE_FLAG_OUTPUT | CORE_FLAG_IMAGE | CORE_FLAG_NAMESPACE,
    .min_words = 1,
    .max_words = MOST_WORDS,
    .run = run_export,
    .complete = complete_export,
};
