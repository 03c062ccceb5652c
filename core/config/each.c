/*
 * Makes jobs of patterns and lists. What a reference is, and what it resolves to, is in
 * interpolate.c; jobs of the same name from different patterns are found in config.c.
 */
#include <config/each.h>

#include <config/option_value.h>
#include <config/paths.h>
#include <config/settings.h>

#include <run-core/str.h>

#include <string.h>

static const char list_key[] = "for_each", file_key[] = "for_each_file", name_key[] = "name";

struct core_each_file {
    const char *path;
    struct core_node *root; /* NULL: it could not be read, which was reported */
    struct core_each_file *next;
};

/* A pattern at work. */
struct pattern {
    struct core_each *each;
    const struct core_entry *entry;
    const struct core_node *map;
    char name[CORE_SHOWN_TEXT];
    struct core_reader reader; /* for the file that the pattern stands in */
};

/* ---- values ---------------------------------------------------------------------------------- */

/* A reader that resolves what waits in a file of the configuration. */
static struct core_reader reader_for(struct core_each *each, const struct core_place *place)
{
    return (struct core_reader){
        .arena = each->arena,
        .problems = each->problems,
        .file = place->file,
        .directory = core_reader_directory(each->arena, place->file),
        .resolve = true,
        .elsewhere = each->machine == CORE_YAML_ELSEWHERE,
    };
}

/*
 * A few lines can ask for any amount of text: a long default, or an alias of a long value, once for
 * each item. Beyond the most there is one mistake, and nothing more is made.
 */
static void interpolate(struct core_each *each, const struct core_reader *reader,
                        struct core_node *node)
{
    if (each->bytes > CORE_EACH_MAX_BYTES) {
        node->broken = true;
        return;
    }
    core_interpolate(reader, node);
    each->bytes += strlen(node->text);
    if (each->bytes > CORE_EACH_MAX_BYTES)
        core_problem_add(each->problems, &node->place,
                         "the list makes the configuration too large: the values with "
                         "${each:...} may have %d MiB in all",
                         CORE_EACH_MAX_BYTES / 1024 / 1024);
}

/* 'node' with its ${each:...} resolved; what has none is not copied. */
static struct core_node *resolved(struct core_each *each, const struct core_reader *reader,
                                  struct core_node *node)
{
    struct core_node *copy;

    if (!node->each)
        return node;
    copy = core_arena_alloc(reader->arena, sizeof(*copy));
    *copy = *node;
    copy->each = false;
    if (node->kind == CORE_NODE_SCALAR) {
        interpolate(each, reader, copy);
    } else if (node->kind == CORE_NODE_LIST) {
        copy->items = core_arena_alloc(reader->arena, node->len * sizeof(*copy->items));
        for (size_t i = 0; i < node->len; i++)
            copy->items[i] = resolved(each, reader, node->items[i]);
    } else {
        copy->entries = core_arena_alloc(reader->arena, node->len * sizeof(*copy->entries));
        for (size_t i = 0; i < node->len; i++) {
            copy->entries[i] = node->entries[i];
            copy->entries[i].value = resolved(each, reader, node->entries[i].value);
        }
    }
    return copy;
}

struct core_node *core_each_plain(struct core_each *each, const struct core_entry *entry)
{
    struct core_reader reader;

    if (!entry->value->each)
        return entry->value;
    reader = reader_for(each, &entry->place);
    return resolved(each, &reader, entry->value);
}

static size_t count_values(const struct core_node *node)
{
    size_t count = 1;

    for (size_t i = 0; i < node->len; i++)
        count +=
            count_values(node->kind == CORE_NODE_MAP ? node->entries[i].value : node->items[i]);
    return count;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static struct core_node *read_file(const struct pattern *pattern, const struct core_node *named)
{
    struct core_each *each = pattern->each;
    const char *path = core_path_beside(each->arena, named->place.file, named->text);
    const char *shown = core_path_shown(each->arena, pattern->map, file_key, named->text);
    struct core_each_file *file = each->files;

    while (file && strcmp(file->path, path) != 0)
        file = file->next;
    if (!file) {
        file = core_arena_alloc(each->arena, sizeof(*file));
        file->path = path;
        file->root = core_yaml_read_as(each->arena, path, shown, &named->place, each->machine,
                                       each->problems);
        file->next = each->files;
        each->files = file;
    }
    return file->root;
}

/* Whether it is a list of maps; what else it is, the option table reports. */
static bool is_list_of_maps(struct core_each *each, struct core_node *list)
{
    const struct core_place *place = &list->place;
    struct core_entry entry = { .key = list_key, .place = *place, .value = list };
    const struct core_node map = { CORE_NODE_MAP, .entries = &entry, .len = 1 };
    const struct core_node *layer = &map;
    struct core_job_list bound = { .file = NULL };

    core_options_bind(core_settings_table("jobs.for_each"), &layer, 1, place, &bound, each->arena,
                      each->problems);
    if (list->kind != CORE_NODE_LIST)
        return false;
    for (size_t i = 0; i < list->len; i++)
        if (list->items[i]->kind != CORE_NODE_MAP)
            return false;
    return true;
}

static bool check_list(const struct pattern *pattern, struct core_node *list)
{
    struct core_each *each = pattern->each;

    if (list->broken)
        return false;
    if (list->kind == CORE_NODE_NULL) {
        core_problem_add(each->problems, &list->place,
                         "there is no list for job '%s'; an empty one is []", pattern->name);
        return false;
    }
    if (!is_list_of_maps(each, list))
        return false;
    if (list->len > CORE_EACH_MAX_ITEMS) {
        core_problem_add(each->problems, &list->place, "the list has %zu items; %d are the most",
                         list->len, CORE_EACH_MAX_ITEMS);
        return false;
    }
    each->values += list->len * count_values(pattern->map);
    if (each->values <= CORE_YAML_MAX_ALIASED)
        return true;
    core_problem_add(each->problems, &list->place,
                     "the list makes the configuration too large: jobs of lists may have %d values "
                     "in all",
                     CORE_YAML_MAX_ALIASED);
    return false;
}

/*
 * The value of a key, in which no ${each:...} may stand: whose would it be? NULL where it is not
 * given, as with a null or an empty text.
 */
static struct core_node *given(const struct pattern *pattern, const char *key)
{
    struct core_node *node = core_node_get(pattern->map, key);

    if (!node || (node->kind == CORE_NODE_NULL && !node->broken) ||
        (node->kind == CORE_NODE_SCALAR && !*node->text))
        return NULL;
    return resolved(pattern->each, &pattern->reader, node);
}

/* The list in the file that 'named' names; NULL: there is none to be had, which was reported. */
static struct core_node *list_in_file(const struct pattern *pattern, const struct core_node *named)
{
    struct core_problems *problems = pattern->each->problems;

    if (named->broken) {
        if (pattern->each->machine == CORE_YAML_ELSEWHERE)
            core_problem_add(problems, &named->place,
                             "only the other machine knows the list of job '%s', and so its jobs; "
                             "name the file, or give the ${...} a default",
                             pattern->name);
        return NULL;
    }
    if (named->kind != CORE_NODE_SCALAR) {
        core_problem_add(problems, &named->place, "'%s' must be text, not %s", file_key,
                         core_node_kind_text(named));
        return NULL;
    }
    return read_file(pattern, named);
}

/* The list of the pattern into '*out', NULL where it names none. False: a mistake, reported. */
static bool find_list(const struct pattern *pattern, struct core_node **out)
{
    struct core_node *list = given(pattern, list_key), *named = given(pattern, file_key);

    *out = NULL;
    if (list && named) {
        core_problem_add(pattern->each->problems, &named->place,
                         "job '%s' has both '%s' and '%s'; remove one", pattern->name, list_key,
                         file_key);
        return false;
    }
    if (!list && !named)
        return true;
    *out = list ? list : list_in_file(pattern, named);
    return *out && check_list(pattern, *out);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/* The job of one item, but for its name; an item without a place is none. */
static struct core_node *make_job(struct pattern *pattern, const struct core_node *item)
{
    const struct core_node *map = pattern->map;
    struct core_node *job = core_arena_alloc(pattern->reader.arena, sizeof(*job));

    *job = *map;
    job->each = false;
    job->entries = core_arena_alloc(pattern->reader.arena, map->len * sizeof(*job->entries));
    job->len = 0;
    pattern->reader.item = item;
    for (size_t i = 0; i < map->len; i++) {
        struct core_entry entry = map->entries[i];

        if (strcmp(entry.key, list_key) == 0 || strcmp(entry.key, file_key) == 0)
            continue;
        entry.value = resolved(pattern->each, &pattern->reader, entry.value);
        job->entries[job->len++] = entry;
    }
    return job;
}

/* The name that an item gives its job; NULL: none that could be used, which was reported. */
static const char *name_job(const struct pattern *pattern, const struct core_node *item,
                            size_t index, bool is_only, struct core_place *place)
{
    struct core_each *each = pattern->each;
    const struct core_node *node = core_node_get(item, name_key);
    const char *name;

    *place = item->place;
    if (node && node->broken) {
        if (each->machine == CORE_YAML_ELSEWHERE)
            core_problem_add(each->problems, &node->place,
                             "only the other machine knows the 'name', and so the job; write it "
                             "out, or give the ${...} a default");
        return NULL;
    }
    if (node && (node->kind == CORE_NODE_LIST || node->kind == CORE_NODE_MAP)) {
        core_problem_add(each->problems, &node->place, "'%s' must be text, not %s", name_key,
                         core_node_kind_text(node));
        return NULL;
    }
    if (node && node->kind == CORE_NODE_SCALAR && *node->text) {
        *place = node->place;
        name = core_arena_strf(each->arena, "%s-%s", pattern->entry->key, node->text);
    } else if (is_only) {
        return pattern->entry->key;
    } else {
        name = core_arena_strf(each->arena, "%s-%zu", pattern->entry->key, index + 1);
    }
    return core_section_check_name(CORE_SECTION_JOBS, name, place, each->problems) ? name : NULL;
}

static void report_twin(void *context, const struct core_entry *first,
                        const struct core_entry *twin)
{
    struct core_each *each = context;

    core_problem_add(each->problems, &twin->place,
                     "a second item makes a job '%s'; the first is at %s", twin->key,
                     core_place_text(&first->place, each->arena));
}

static void expand_list(struct pattern *pattern, const struct core_node *list,
                        struct core_children *out)
{
    RC_CLEANUP(core_children_clear) struct core_children jobs = { 0 };

    for (size_t i = 0; i < list->len; i++) {
        const struct core_node *item = list->items[i];
        struct core_entry job = { .value = NULL };

        job.key = name_job(pattern, item, i, list->len == 1, &job.place);
        if (!job.key)
            continue;
        job.value = make_job(pattern, item);
        core_children_add(&jobs, &job);
    }
    core_children_drop_twins(&jobs, report_twin, pattern->each);
    for (size_t i = 0; i < jobs.len; i++) {
        jobs.entries[i].place = pattern->entry->place;
        if (jobs.entries[i].value)
            core_children_add(out, &jobs.entries[i]);
    }
    if (list->len == 0)
        core_children_add(&pattern->each->empty, pattern->entry);
}

void core_each_expand(struct core_each *each, const struct core_entry *entry,
                      struct core_children *out)
{
    static const struct core_node no_item = { .kind = CORE_NODE_MAP };
    struct core_entry job = *entry;
    struct pattern pattern = {
        .each = each,
        .entry = entry,
        .map = entry->value,
        .reader = reader_for(each, &entry->place),
    };
    struct core_node *list;

    if (!core_node_get(entry->value, list_key) && !core_node_get(entry->value, file_key)) {
        job.value = core_each_plain(each, entry);
        core_children_add(out, &job);
        return;
    }
    core_shown(entry->key, pattern.name);
    if (!core_section_check_name(CORE_SECTION_JOBS, entry->key, &entry->place, each->problems) ||
        !find_list(&pattern, &list))
        return;
    if (list) {
        expand_list(&pattern, list, out);
        return;
    }
    job.value = make_job(&pattern, &no_item);
    core_children_add(out, &job);
}
