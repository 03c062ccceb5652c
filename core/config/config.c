/*
 * Reads the files of a configuration, merges their sections and checks what needs no
 * plugin. The keys are in settings.c; what a run is bound from is put together in layers.c.
 */
#include <config/config.h>

#include <config/each.h>
#include <config/option_value.h>
#include <config/paths.h>
#include <config/reader.h>
#include <config/settings.h>

#include <run-core/str.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MESSAGE_BYTES = 1024 };

struct loader {
    struct core_config *config;
    struct core_problems *problems;
    struct core_arena trees; /* the documents, of which only the free maps are kept */
    struct core_children sections[CORE_SECTION_COUNT]; /* entries of all files */
    const char **files;
    size_t file_count;
    struct core_each each;
};

/* ---- files -------------------------------------------------------------------------------- */

static void add_section(struct loader *loader, const struct core_entry *entry,
                        const struct core_section *section, struct core_children *into)
{
    const struct core_node *map = entry->value;

    if (map->kind == CORE_NODE_NULL)
        return;
    if (map->kind != CORE_NODE_MAP) {
        core_problem_add(loader->problems, &map->place, "'%s' must be a map, not %s", section->key,
                         core_node_kind_text(map));
        return;
    }
    for (size_t i = 0; i < map->len; i++) {
        struct core_entry own = map->entries[i];

        if (section != &core_sections[CORE_SECTION_JOBS])
            own.value = core_each_plain(&loader->each, &own);
        core_children_add(into, &own);
    }
}

static void report_unknown(struct loader *loader, const struct core_entry *entry)
{
    RC_BUF_AUTO(hint, MESSAGE_BYTES);
    const char *names[CORE_SECTION_COUNT];
    char shown[CORE_SHOWN_TEXT];

    for (size_t i = 0; i < CORE_SECTION_COUNT; i++)
        names[i] = core_sections[i].key;
    core_option_add_hint(&hint, entry->key, names, CORE_SECTION_COUNT, "; the valid ones are: ");
    core_problem_add(loader->problems, &entry->place, "unknown key '%s'%s",
                     core_shown(entry->key, shown), hint.data);
}

static void add_entry(struct loader *loader, const struct core_entry *entry)
{
    if (rc_str_starts(entry->key, "x-"))
        return;
    for (size_t i = 0; i < CORE_SECTION_COUNT; i++)
        if (strcmp(core_sections[i].key, entry->key) == 0) {
            add_section(loader, entry, &core_sections[i], &loader->sections[i]);
            return;
        }
    report_unknown(loader, entry);
}

static void read_file(struct loader *loader, const char *path)
{
    const struct core_node *root =
        core_yaml_read(&loader->trees, path, loader->each.machine, loader->problems);

    loader->files[loader->file_count++] = core_arena_strdup(&loader->config->arena, path);
    if (!root || root->kind == CORE_NODE_NULL)
        return;
    if (root->kind != CORE_NODE_MAP) {
        core_problem_add(
            loader->problems, &root->place,
            "a configuration is a map of sections (core, storage, sql, plugins, jobs), "
            "not %s",
            core_node_kind_text(root));
        return;
    }
    for (size_t i = 0; i < root->len; i++)
        add_entry(loader, &root->entries[i]);
}

static int is_configuration(const struct dirent *entry)
{
    const char *name = entry->d_name;

    return name[0] != '.' &&
           (rc_str_ends(name, ".yaml") || rc_str_ends(name, ".yml") || rc_str_ends(name, ".json"));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_directory(struct loader *loader, const char *path)
{
    struct dirent **entries = NULL;
    const struct core_place place = { .file = path };
    int count = scandir(path, &entries, is_configuration, by_bytes);

    if (count < 0) {
        core_problem_add(loader->problems, &place, "the directory cannot be read: %s",
                         strerror(errno));
        return;
    }
    loader->files =
        core_arena_alloc(&loader->config->arena, (size_t)count * sizeof(*loader->files));
    for (int i = 0; i < count; i++) {
        RC_STR_AUTO file =
            rc_strf("%s%s%s", path, rc_str_ends(path, "/") ? "" : "/", entries[i]->d_name);

        read_file(loader, file);
        free(entries[i]);
    }
    free(entries);
}

static void read_all(struct loader *loader, const char *path)
{
    const struct core_place place = { .file = path };
    struct stat st;

    if (stat(path, &st) < 0) {
        if (errno == ENOENT)
            core_problem_add(loader->problems, &place, "there is no such file or directory");
        else
            core_problem_add(loader->problems, &place, "the configuration cannot be read: %s",
                             strerror(errno));
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        read_directory(loader, path);
        return;
    }
    loader->files = core_arena_alloc(&loader->config->arena, sizeof(*loader->files));
    read_file(loader, path);
}

/* ---- what is kept of the documents --------------------------------------------------------- */

static void keep_place(const struct loader *loader, struct core_place *place)
{
    place->file = core_arena_share(&loader->config->arena, place->file);
}

/* ---- entries ------------------------------------------------------------------------------ */

struct twins {
    struct loader *loader;
    const struct core_section *section;
};

static void report_twin(void *context, const struct core_entry *first,
                        const struct core_entry *twin)
{
    const struct twins *twins = context;
    bool is_core = twins->section == &core_sections[CORE_SECTION_CORE];
    struct core_arena *arena = &twins->loader->trees;
    char shown[CORE_SHOWN_TEXT];

    core_problem_add(twins->loader->problems, &twin->place,
                     "the %s '%s' is defined twice; the first is at %s",
                     is_core ? "core setting" : twins->section->what, core_shown(twin->key, shown),
                     core_place_text(&first->place, arena));
}

/* The entry's map; NULL where it has none, with the mistake reported if that is one. */
static const struct core_node *entry_map(struct loader *loader, const struct core_section *section,
                                         const struct core_entry *entry)
{
    const struct core_node *map = entry->value;
    char shown[CORE_SHOWN_TEXT];

    if (map->kind == CORE_NODE_MAP || map->kind == CORE_NODE_NULL)
        return map->kind == CORE_NODE_MAP ? map : NULL;
    core_problem_add(loader->problems, &map->place, "the %s '%s' must be a map of its keys, not %s",
                     section->what, core_shown(entry->key, shown), core_node_kind_text(map));
    return NULL;
}

/* 'config' of a job or plugin; its keys are judged where the plugin is known. */
static const struct core_node *free_map(struct loader *loader, const struct core_node *map)
{
    const struct core_node *config = core_node_get(map, "config");

    if (!config || config->kind == CORE_NODE_NULL)
        return NULL;
    if (config->kind == CORE_NODE_MAP)
        return core_node_copy(&loader->config->arena, config);
    core_problem_add(loader->problems, &config->place,
                     "'config' must be a map of the plugin's options, not %s",
                     core_node_kind_text(config));
    return NULL;
}

static void finish_plugin(struct loader *loader, const struct core_node *map,
                          struct core_plugin_settings *plugin)
{
    struct core_arena *arena = &loader->config->arena;

    plugin->config = free_map(loader, map);
    core_path_resolve_named(arena, map, "file", &plugin->file);
    plugin->config_file_shown = core_path_shown(arena, map, "config_file", plugin->config_file);
    core_path_resolve(arena, map, "config_file", &plugin->config_file);
    core_path_place(map, "config_file", &plugin->config_file_place);
    core_path_place(map, "config_url", &plugin->config_url_place);
    keep_place(loader, &plugin->config_file_place);
    keep_place(loader, &plugin->config_url_place);
}

static void check_job(struct loader *loader, const struct core_node *map,
                      const struct core_job_settings *job)
{
    const struct core_node *plugin = core_node_get(map, "plugin");
    const struct core_node *retry = core_node_get(map, "retry");
    const struct core_node *longest = core_node_get(retry, "max_backoff");
    char a[RC_AMOUNT_TEXT], b[RC_AMOUNT_TEXT];

    if (job->plugin && *job->plugin)
        core_section_check_name(CORE_SECTION_PLUGINS, job->plugin, &plugin->place,
                                loader->problems);
    if (longest && job->retry.max_backoff_ms < job->retry.backoff_ms)
        core_problem_add(loader->problems, &longest->place,
                         "'max_backoff' is %s, which is shorter than 'backoff', %s",
                         rc_format_duration(job->retry.max_backoff_ms, a),
                         rc_format_duration(job->retry.backoff_ms, b));
}

static void finish_job(struct loader *loader, const struct core_node *map,
                       struct core_job_settings *job)
{
    struct core_arena *arena = &loader->config->arena;
    const struct core_node *schedule = core_node_get(map, "schedule");

    job->schedule_place = job->time_zone_place = job->place;
    job->schedule_unknown = schedule && schedule->broken;
    core_path_place(map, "schedule", &job->schedule_place);
    core_path_place(map, "time_zone", &job->time_zone_place);
    job->config = free_map(loader, map);
    job->config_file_shown = core_path_shown(arena, map, "config_file", job->config_file);
    core_path_resolve(arena, map, "config_file", &job->config_file);
    core_path_place(map, "config_file", &job->config_file_place);
    core_path_place(map, "config_url", &job->config_url_place);
    keep_place(loader, &job->config_file_place);
    keep_place(loader, &job->config_url_place);
    keep_place(loader, &job->schedule_place);
    keep_place(loader, &job->time_zone_place);
    check_job(loader, map, job);
    if (job->retry.max_backoff_ms < job->retry.backoff_ms)
        job->retry.max_backoff_ms = job->retry.backoff_ms;
}

/* Binds one entry of a section into 'out', which has its struct. */
static void bind_entry(struct loader *loader, enum core_section_id id,
                       const struct core_entry *entry, void *out)
{
    const struct core_section *section = &core_sections[id];
    struct core_arena *arena = &loader->config->arena;
    const struct core_node *map = entry_map(loader, section, entry);
    char shown[CORE_SHOWN_TEXT];
    const char *what =
        core_arena_strf(&loader->trees, "%s '%s'", section->what, core_shown(entry->key, shown));

    core_section_check_name(id, entry->key, &entry->place, loader->problems);
    if (!map && entry->value->kind != CORE_NODE_NULL)
        return;
    core_section_bind(section, map, what, &entry->place, out, arena, loader->problems);
    if (id == CORE_SECTION_PLUGINS)
        finish_plugin(loader, map, out);
    else if (id == CORE_SECTION_JOBS)
        finish_job(loader, map, out);
    else if (id == CORE_SECTION_SQL) {
        struct core_engine_settings *engine = out;

        core_path_resolve_named(arena, map, "library", &engine->library);
        core_path_resolve(arena, map, "temp_dir", &engine->temp_dir);
        core_path_resolve(arena, map, "staging_dir", &engine->staging_dir);
        core_path_resolve(arena, map, "ca_file", &engine->ca_file);
    }
}

/* ---- core --------------------------------------------------------------------------------- */

static bool is_port(const char *text)
{
    int64_t port;

    return rc_parse_int(text, &port) && isdigit((unsigned char)*text) && port <= 65535;
}

static bool is_address(const char *text)
{
    const char *colon = strrchr(text, ':');

    if (rc_str_starts(text, "unix:"))
        return text[5] != '\0';
    if (!colon || colon == text || !is_port(colon + 1))
        return false;
    if (text[0] == '[')
        return colon[-1] == ']' && colon - text > 2;
    return memchr(text, ':', (size_t)(colon - text)) == NULL;
}

static void check_core(struct loader *loader, const struct core_node *map)
{
    struct core_settings *settings = &loader->config->settings;
    const struct core_node *listen = core_node_get(map, "listen");
    const struct core_node *state = core_node_get(map, "state");
    char shown[CORE_SHOWN_TEXT];

    if (settings->listen && !is_address(settings->listen))
        core_problem_add(loader->problems, &listen->place,
                         "'listen' is '%s', which is not HOST:PORT such as 127.0.0.1:8081, nor "
                         "unix:PATH",
                         core_shown(settings->listen, shown));
    if (settings->state && strstr(settings->state, "://") &&
        !rc_str_starts(settings->state, "sqlite:///") &&
        !rc_str_starts(settings->state, "postgresql://") &&
        !rc_str_starts(settings->state, "postgres://")) {
        core_problem_add(loader->problems, &state->place,
                         "'state' must be sqlite:///PATH, postgresql://… or a folder");
        settings->state = NULL; /* nobody needs to judge it once more */
    }
    if (settings->state) {
        settings->state_place = state->place;
        keep_place(loader, &settings->state_place);
    }
}

static void bind_core(struct loader *loader)
{
    const struct core_section *section = &core_sections[CORE_SECTION_CORE];
    struct core_settings *settings = &loader->config->settings;
    struct core_arena *arena = &loader->config->arena;
    struct core_children *children = &loader->sections[CORE_SECTION_CORE];
    const struct core_place nowhere = { .file = "core" };
    const struct core_node map = {
        .kind = CORE_NODE_MAP, .place = nowhere, .entries = children->entries, .len = children->len
    };

    core_section_bind(section, &map, "'core'", &nowhere, settings, arena, loader->problems);
    check_core(loader, &map);
    if (settings->state && !strstr(settings->state, "://"))
        core_path_resolve(arena, &map, "state", &settings->state);
    core_path_resolve(arena, &map, "socket", &settings->socket);
    core_path_resolve(arena, &map, "spool", &settings->spool);
    core_path_resolve_list(arena, &map, "plugin_path", &settings->plugin_path);
    core_path_resolve(arena, core_node_get(&map, "auth"), "tokens_file", &settings->tokens_file);
}

/* ---- all ---------------------------------------------------------------------------------- */

/* Takes out what a repeated key left behind. */
static void compact(struct core_children *children)
{
    size_t len = 0;

    for (size_t i = 0; i < children->len; i++)
        if (children->entries[i].value)
            children->entries[len++] = children->entries[i];
    children->len = len;
}

/* With which the struct of every entry begins. */
struct entry_head {
    const char *name;
    struct core_place place;
};

#define BEGINS_AS_HEAD(S)                                                                          \
    _Static_assert(offsetof(S, name) == offsetof(struct entry_head, name) &&                       \
                       offsetof(S, place) == offsetof(struct entry_head, place),                   \
                   #S " does not begin with name and place")

BEGINS_AS_HEAD(struct core_store_settings);
BEGINS_AS_HEAD(struct core_engine_settings);
BEGINS_AS_HEAD(struct core_plugin_settings);
BEGINS_AS_HEAD(struct core_job_settings);

static void *bind_section(struct loader *loader, enum core_section_id id, size_t size,
                          size_t *count)
{
    const struct core_children *children = &loader->sections[id];
    char *entries = core_arena_alloc(&loader->config->arena, children->len * size);

    for (size_t i = 0; i < children->len; i++) {
        struct entry_head *head = (struct entry_head *)(void *)(entries + i * size);

        head->name = core_arena_strdup(&loader->config->arena, children->entries[i].key);
        head->place = children->entries[i].place;
        keep_place(loader, &head->place);
        bind_entry(loader, id, &children->entries[i], head);
    }
    *count = children->len;
    return entries;
}

/* What is wrong with a store although each of its keys is right. */
static void check_store(struct loader *loader, const struct core_store_settings *store)
{
    const char *id = store->access_key_id, *secret = store->secret_access_key;
    char shown[CORE_SHOWN_TEXT];

    if (id && *id && !(secret && *secret))
        core_problem_add(loader->problems, &store->place,
                         "store '%s' has an 'access_key_id', but %s",
                         core_shown(store->name, shown),
                         secret ? "its 'secret_access_key' is empty" : "no 'secret_access_key'");
    if (secret && *secret && !(id && *id))
        core_problem_add(loader->problems, &store->place,
                         "store '%s' has a 'secret_access_key', but no 'access_key_id'",
                         core_shown(store->name, shown));
    if (store->endpoint && !rc_str_starts(store->endpoint, "http://") &&
        !rc_str_starts(store->endpoint, "https://"))
        core_problem_add(loader->problems, &store->place,
                         "the 'endpoint' of store '%s' is no address of HTTP, such as "
                         "https://storage.example.org",
                         core_shown(store->name, shown));
}

static void drop_twins(struct loader *loader, enum core_section_id id)
{
    struct twins twins = { loader, &core_sections[id] };

    core_children_drop_twins(&loader->sections[id], report_twin, &twins);
    compact(&loader->sections[id]);
}

/* Puts the jobs of lists in the places of their patterns. */
static void expand_jobs(struct loader *loader)
{
    struct core_children *jobs = &loader->sections[CORE_SECTION_JOBS];
    struct core_children patterns = *jobs;
    const struct core_children *empty = &loader->each.empty;
    struct core_config *config = loader->config;

    *jobs = (struct core_children){ 0 };
    for (size_t i = 0; i < patterns.len; i++)
        core_each_expand(&loader->each, &patterns.entries[i], jobs);
    core_children_clear(&patterns);
    drop_twins(loader, CORE_SECTION_JOBS);
    config->empty_lists = core_arena_alloc(&config->arena, empty->len * sizeof(char *));
    for (size_t i = 0; i < empty->len; i++)
        config->empty_lists[i] = core_arena_strdup(&config->arena, empty->entries[i].key);
    config->empty_list_count = empty->len;
}

static void bind_all(struct loader *loader)
{
    struct core_config *config = loader->config;

    for (size_t i = 0; i < CORE_SECTION_COUNT; i++)
        drop_twins(loader, (enum core_section_id)i);
    expand_jobs(loader);
    bind_core(loader);
    config->stores =
        bind_section(loader, CORE_SECTION_STORAGE, sizeof(*config->stores), &config->store_count);
    config->engines =
        bind_section(loader, CORE_SECTION_SQL, sizeof(*config->engines), &config->engine_count);
    config->plugins =
        bind_section(loader, CORE_SECTION_PLUGINS, sizeof(*config->plugins), &config->plugin_count);
    config->jobs =
        bind_section(loader, CORE_SECTION_JOBS, sizeof(*config->jobs), &config->job_count);
    for (size_t i = 0; i < config->store_count; i++) {
        if (!config->stores[i].bucket || !*config->stores[i].bucket)
            config->stores[i].bucket = config->stores[i].name;
        check_store(loader, &config->stores[i]);
    }
}

/*
 * The trees of a large configuration take several times the memory of what is kept of it, and a
 * daemon lives on for months.
 */
static void give_back(const struct core_config *config)
{
    enum { LARGE_JOBS = 1000 };

    if (config->job_count >= LARGE_JOBS)
        (void)malloc_trim(0);
}

static struct core_config *load(const char *path, enum core_yaml_machine machine,
                                struct core_problems *problems)
{
    struct core_config *config = rc_calloc(1, sizeof(*config));
    struct loader loader = { .config = config, .problems = problems };

    loader.each = (struct core_each){ &loader.trees, .machine = machine, .problems = problems };
    config->path = core_arena_strdup(&config->arena, path);
    if (path)
        read_all(&loader, path);
    bind_all(&loader);
    config->files = loader.files;
    config->file_count = loader.file_count;
    for (size_t i = 0; i < CORE_SECTION_COUNT; i++)
        core_children_clear(&loader.sections[i]);
    core_children_clear(&loader.each.empty);
    core_arena_clear(&loader.trees);
    give_back(config);
    return config;
}

struct core_config *core_config_load(const char *path, struct core_problems *problems)
{
    return load(path, CORE_YAML_HERE, problems);
}

struct core_config *core_config_load_elsewhere(const char *path, struct core_problems *problems)
{
    return load(path, CORE_YAML_ELSEWHERE, problems);
}

void core_config_free(struct core_config *config)
{
    if (!config)
        return;
    core_arena_clear(&config->arena);
    give_back(config);
    free(config);
}

const struct core_job_settings *core_config_job(const struct core_config *config, const char *name)
{
    for (size_t i = 0; i < config->job_count; i++)
        if (strcmp(config->jobs[i].name, name) == 0)
            return &config->jobs[i];
    return NULL;
}

const struct core_plugin_settings *core_config_plugin(const struct core_config *config,
                                                      const char *name)
{
    for (size_t i = 0; i < config->plugin_count; i++)
        if (strcmp(config->plugins[i].name, name) == 0)
            return &config->plugins[i];
    return NULL;
}
