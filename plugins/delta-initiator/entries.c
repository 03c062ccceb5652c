/*
 * Makes the streams out of a configuration: fills in what it leaves open, and judges all of it
 * before anything is done with one of them. What is done is in jobs.c.
 */
#include "entries.h"
#include "sparql/term.h"
#include "vocabulary.h"

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { NAMES_TEXT = 400 };

const char *delta_kind_text(enum delta_kind kind)
{
    static const char *const texts[] = { "initial sync", "healing", "dump" };

    return texts[kind];
}

const char *delta_kind_name(enum delta_kind kind)
{
    static const char *const names[] = { "initial-sync", "healing", "dump" };

    return names[kind];
}

/* As they are called in both forms. */
static const char *const job_options[DELTA_KIND_COUNT] = {
    "initialPublicationGraphSyncJobOperation",
    "healingJobOperation",
    "dumpFileCreationJobOperation",
};

/* And in the environment, for the only stream. */
static const char *const job_variables[DELTA_KIND_COUNT] = {
    "INITIAL_PUBLICATION_GRAPH_SYNC_JOB_OPERATION",
    "HEALING_JOB_OPERATION",
    "DUMP_FILE_CREATION_JOB_OPERATION",
};

/* ---- filling in ------------------------------------------------------------------------------ */

static bool given(const char *text)
{
    return text && *text;
}

static const char *text_or(const char *text, const char *otherwise)
{
    return given(text) ? text : otherwise;
}

static const char *creator_of(struct delta_entries *entries, const char *name)
{
    if (!*name)
        return DELTA_CREATOR;
    return entries->texts[entries->text_count++] = rc_strf("%s/%s", DELTA_CREATOR, name);
}

static void fill_entry(struct delta_entries *entries, const struct delta_config *config,
                       const struct delta_stream *stream)
{
    static const char *const tasks[DELTA_KIND_COUNT] = {
        DELTA_INITIAL_SYNC_TASK,
        DELTA_HEALING_TASK,
        DELTA_DUMP_TASK,
    };
    struct delta_entry *entry = &entries->items[entries->count++];

    *entry = (struct delta_entry){
        .name = text_or(stream->name, ""),
        .jobs_graph = text_or(stream->jobs_graph, DELTA_JOBS_GRAPH),
        .cron = { [DELTA_HEALING] = text_or(stream->cron_healing, DELTA_CRON),
                  [DELTA_DUMP] = text_or(stream->cron_dump, DELTA_CRON) },
        .disabled = { [DELTA_HEALING] = stream->healing_disabled,
                      [DELTA_DUMP] = stream->dump_disabled },
        .start_initial_sync = stream->start_initial_sync,
        .heal_without_initial_sync = stream->heal_without_initial_sync,
    };
    entry->error_creator =
        given(stream->error_creator) ? stream->error_creator : creator_of(entries, entry->name);
    for (size_t kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        entry->job_operation[kind] = text_or(stream->job_operation[kind], NULL);
        entry->task_operation[kind] = text_or(config->task_operation[kind], tasks[kind]);
    }
}

/* The only stream, which may be told what it does in the older system's words, too. */
static struct delta_stream only_stream(const struct delta_config *config)
{
    struct delta_stream stream = config->stream;

    stream.dump_disabled |= !config->dump_enabled;
    stream.healing_disabled |= !config->healing_enabled;
    stream.heal_without_initial_sync |= !config->heal_must_wait;
    return stream;
}

static void fill(struct delta_entries *entries, const struct delta_config *config)
{
    struct delta_stream only = only_stream(config);
    size_t count = config->entries.len ? config->entries.len : 1;

    *entries = (struct delta_entries){
        .items = rc_calloc(count, sizeof(*entries->items)),
        .texts = rc_calloc(count, sizeof(*entries->texts)),
    };
    if (config->entries.len == 0)
        fill_entry(entries, config, &only);
    for (size_t i = 0; i < config->entries.len; i++)
        fill_entry(entries, config, RC_OBJECT_AT(struct delta_stream, config->entries, i));
}

void delta_entries_clear(struct delta_entries *entries)
{
    for (size_t i = 0; i < entries->text_count; i++)
        free(entries->texts[i]);
    free(entries->texts);
    free(entries->items);
    *entries = (struct delta_entries){ 0 };
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Puts in front of a message which of the streams it is of, if there are several. */
static enum rc_code of_entry(const struct delta_entries *entries, size_t index,
                             struct rc_error *err)
{
    const char *name = entries->items[index].name;

    if (entries->count == 1)
        return err->code;
    return *name ? rc_context(err, "entry %zu, '%s'", index + 1, name)
                 : rc_context(err, "entry %zu", index + 1);
}

static enum rc_code check_iri(const char *option, const char *iri, struct rc_error *err)
{
    return sparql_iri_check(iri, err) ? rc_context(err, "option '%s'", option) : RC_OK;
}

static bool is_name_character(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

/* It is one part of a URL's path, of an IRI, and of the name of a job. */
static enum rc_code check_name(const char *name, struct rc_error *err)
{
    for (const char *at = name; *at; at++)
        if (!is_name_character((unsigned char)*at))
            return rc_fail(err, RC_INVALID,
                           "'name' is '%s'; it is a part of the paths of its endpoints, so it is "
                           "made of letters from a to z, digits, '-', '_', '.' and '~'",
                           name);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return rc_fail(err, RC_INVALID, "'name' is '%s', which is another folder in a path", name);
    return RC_OK;
}

static enum rc_code check_entry(const struct delta_entry *entry, struct rc_error *err)
{
    if (check_name(entry->name, err) || check_iri("jobsGraph", entry->jobs_graph, err) ||
        check_iri("errorCreatorUri", entry->error_creator, err))
        return err->code;
    for (size_t kind = 0; kind < DELTA_KIND_COUNT; kind++)
        if (entry->job_operation[kind] &&
            check_iri(job_options[kind], entry->job_operation[kind], err))
            return err->code;
    return RC_OK;
}

static enum rc_code check_tasks(const struct delta_entry *entry, struct rc_error *err)
{
    static const char *const options[DELTA_KIND_COUNT] = {
        "initial_sync_task_operation",
        "healing_task_operation",
        "dump_task_operation",
    };

    for (size_t kind = 0; kind < DELTA_KIND_COUNT; kind++)
        if (check_iri(options[kind], entry->task_operation[kind], err))
            return err->code;
    return RC_OK;
}

/* What only one may have: a name, or an operation in a graph. */
struct claim {
    const char *graph, *text;
    size_t index; /* of the stream */
    enum delta_kind kind;
};

static int compare_claims(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    int order = strcmp(x->graph, y->graph);

    if (order == 0)
        order = strcmp(x->text, y->text);
    if (order == 0)
        order = (x->index > y->index) - (x->index < y->index);
    return order ? order : (int)x->kind - (int)y->kind;
}

/* The second of two that claim the same, or NULL. Sorts, as there may be ten thousand streams. */
static const struct claim *find_rival(struct claim *claims, size_t count)
{
    qsort(claims, count, sizeof(*claims), compare_claims);
    for (size_t i = 1; i < count; i++)
        if (strcmp(claims[i - 1].graph, claims[i].graph) == 0 &&
            strcmp(claims[i - 1].text, claims[i].text) == 0)
            return &claims[i];
    return NULL;
}

static enum rc_code check_names_apart(const struct delta_entries *entries, struct claim *claims,
                                      struct rc_error *err)
{
    const struct claim *rival;

    for (size_t i = 0; i < entries->count; i++) {
        if (!*entries->items[i].name)
            return rc_fail(err, RC_INVALID,
                           "entry %zu of 'entries' has no 'name'; only the single one of a list "
                           "may do without",
                           i + 1);
        claims[i] = (struct claim){ .graph = "", .text = entries->items[i].name, .index = i };
    }
    rival = find_rival(claims, entries->count);
    if (!rival)
        return RC_OK;
    return rc_fail(err, RC_INVALID, "the entries %zu and %zu of 'entries' both have the name '%s'",
                   rival[-1].index + 1, rival->index + 1, rival->text);
}

/* Jobs are known by their operation alone: those of two kinds or streams would be one. */
static enum rc_code check_operations_apart(const struct delta_entries *entries,
                                           struct claim *claims, struct rc_error *err)
{
    const struct claim *rival;
    size_t count = 0;

    for (size_t i = 0; i < entries->count; i++)
        for (size_t kind = 0; kind < DELTA_KIND_COUNT; kind++)
            if (entries->items[i].job_operation[kind])
                claims[count++] = (struct claim){
                    .graph = entries->items[i].jobs_graph,
                    .text = entries->items[i].job_operation[kind],
                    .index = i,
                    .kind = (enum delta_kind)kind,
                };
    rival = find_rival(claims, count);
    if (!rival)
        return RC_OK;
    RC_STR_AUTO where = entries->count > 1 ? rc_strf("'%s'", entries->items[rival[-1].index].name)
                                           : rc_strdup("the same stream");
    (void)rc_fail(err, RC_INVALID,
                  "option '%s': the operation <%s> is that of '%s' of %s already, in the same "
                  "graph <%s>: their jobs could not be told apart",
                  job_options[rival->kind], rival->text, job_options[rival[-1].kind], where,
                  rival->graph);
    return of_entry(entries, rival->index, err);
}

/* Two forms at once: one of them would be passed over in silence. */
static enum rc_code check_one_form(const struct delta_config *config, struct rc_error *err)
{
    const char *option = given(config->stream.name) ? "name" : NULL;

    for (size_t kind = 0; kind < DELTA_KIND_COUNT && !option; kind++)
        if (given(config->stream.job_operation[kind]))
            option = job_options[kind];
    if (!option || config->entries.len == 0)
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "there are 'entries', and the option '%s' (or its environment variable) beside "
                   "them; give either several streams in the list, or the options of a single one",
                   option);
}

static enum rc_code judge(const struct delta_entries *entries, const struct delta_config *config,
                          struct rc_error *err)
{
    struct claim *claims = rc_calloc(entries->count * DELTA_KIND_COUNT, sizeof(*claims));
    enum rc_code code = check_one_form(config, err);

    if (!code)
        code = check_tasks(&entries->items[0], err);
    for (size_t i = 0; i < entries->count && !code; i++) {
        code = check_entry(&entries->items[i], err);
        if (code)
            code = of_entry(entries, i, err);
    }
    if (!code && entries->count > 1)
        code = check_names_apart(entries, claims, err);
    if (!code)
        code = check_operations_apart(entries, claims, err);
    free(claims);
    return code;
}

enum rc_code delta_entries_make(const struct delta_config *config, struct delta_entries *out,
                                struct rc_error *err)
{
    enum rc_code code;

    fill(out, config);
    code = judge(out, config, err);
    if (code)
        delta_entries_clear(out);
    return code;
}

/* ---- finding --------------------------------------------------------------------------------- */

enum rc_code delta_entries_find(const struct delta_entries *entries, const char *name,
                                const struct delta_entry **out, struct rc_error *err)
{
    RC_BUF_AUTO(names, NAMES_TEXT);

    for (size_t i = 0; i < entries->count; i++) {
        if (strcmp(entries->items[i].name, name) == 0) {
            *out = &entries->items[i];
            return RC_OK;
        }
        rc_buf_addf(&names, "%s'%s'", i ? ", " : "", entries->items[i].name);
    }
    if (!*entries->items[0].name)
        return rc_fail(err, RC_INVALID,
                       "there is no stream '%s': there is only one, which has no name", name);
    return rc_fail(err, RC_INVALID, "there is no stream '%s'; there %s %s%s", name,
                   entries->count == 1 ? "is" : "are", names.data,
                   names.overflow ? " and others" : "");
}

enum rc_code delta_entry_has(const struct delta_entry *entry, enum delta_kind kind,
                             struct rc_error *err)
{
    if (entry->job_operation[kind])
        return RC_OK;
    if (*entry->name)
        return rc_fail(err, RC_INVALID,
                       "there is no operation for jobs of the kind '%s' of the stream '%s'; it is "
                       "given as '%s'",
                       delta_kind_name(kind), entry->name, job_options[kind]);
    return rc_fail(err, RC_INVALID,
                   "there is no operation for jobs of the kind '%s'; it is given as '%s', or by "
                   "the variable %s",
                   delta_kind_name(kind), job_options[kind], job_variables[kind]);
}

/* ---- schedules ------------------------------------------------------------------------------- */

/* A digit that is not that of a step, which counts alike from wherever. */
static bool names_number(const char *field, size_t len)
{
    bool step = false;

    for (size_t i = 0; i < len; i++) {
        if (field[i] == '/' || field[i] == ',')
            step = field[i] == '/';
        else if (!step && field[i] >= '0' && field[i] <= '9')
            return true;
    }
    return false;
}

bool delta_cron_numbers_months(const char *expression)
{
    static const char blanks[] = " \t";
    const char *fields[7];
    size_t count = 0, month;

    for (const char *at = expression + strspn(expression, blanks); *at && count < 7;) {
        fields[count++] = at;
        at += strcspn(at, blanks);
        at += strspn(at, blanks);
    }
    if (count != 5 && count != 6)
        return false;
    month = count - 2;
    return names_number(fields[month], strcspn(fields[month], blanks));
}

/* ---- the rules across options ---------------------------------------------------------------- */

static enum rc_code check_endpoint(const char *option, const char *url, struct rc_error *err)
{
    if (!given(url) || rc_str_starts(url, "http://") || rc_str_starts(url, "https://"))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "'%s' is '%s'; a store is reached at an address that begins with http:// or "
                   "https://",
                   option, url);
}

enum rc_code delta_check_config(const void *filled, struct rc_error *err)
{
    const struct delta_config *config = filled;
    struct delta_entries entries;

    if (check_endpoint("sparql_endpoint", config->sparql_endpoint, err) ||
        check_endpoint("update_endpoint", config->update_endpoint, err))
        return err->code;
    if (given(config->password) && !given(config->username))
        return rc_fail(err, RC_INVALID, "there is a password, and no username that it is of");
    if (delta_entries_make(config, &entries, err))
        return err->code;
    delta_entries_clear(&entries);
    return RC_OK;
}
