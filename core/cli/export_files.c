/*
 * The files of a configuration for another machine: which there are, where they will lie there,
 * and the variables and secrets that they refer to. None of those is looked up.
 */
#include <cli/export.h>

#include <config/interpolate.h>
#include <os/file.h>

#include <run-core/str.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONTAINER_FOLDER "/etc/run-core/conf.d"

enum { PATH_BYTES = 16384 };

/* Room for one more in a list in the arena; the old one is left to it. */
static void *grown(struct core_arena *arena, void *items, size_t len, size_t *capacity, size_t size)
{
    void *bigger;

    if (len < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 8;
    bigger = core_arena_alloc(arena, *capacity * size);
    if (len)
        memcpy(bigger, items, len * size);
    return bigger;
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* An absolute path without '.', '..' and doubled slashes. */
static const char *normalised(struct core_arena *arena, const char *path)
{
    RC_BUF_AUTO(out, PATH_BYTES);

    while (*path) {
        size_t len = strcspn(path, "/");

        if (len == 2 && strncmp(path, "..", 2) == 0) {
            const char *slash = strrchr(out.data, '/');

            rc_buf_truncate(&out, slash ? (size_t)(slash - out.data) : 0);
        } else if (len > 0 && !(len == 1 && path[0] == '.')) {
            rc_buf_addc(&out, '/');
            rc_buf_add(&out, path, len);
        }
        path += len + (path[len] == '/');
    }
    return core_arena_strdup(arena, out.len ? out.data : "/");
}

/* 'path', as it stands in the file 'beside', which is absolute. */
static const char *beside(struct core_arena *arena, const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');

    if (path[0] == '/')
        return normalised(arena, path);
    return normalised(arena, core_arena_strf(arena, "%.*s/%s", (int)(slash - file), file, path));
}

/* ---- references ------------------------------------------------------------------------------ */

static void add_reference(struct core_export *export, bool is_file, bool optional, const char *name)
{
    for (size_t i = 0; i < export->reference_count; i++) {
        struct core_export_reference *known = &export->references[i];

        if (known->is_file == is_file && strcmp(known->name, name) == 0) {
            known->optional = known->optional && optional;
            return;
        }
    }
    export->references = grown(&export->arena, export->references, export->reference_count,
                               &export->reference_capacity, sizeof(*export->references));
    export->references[export->reference_count++] =
        (struct core_export_reference){ .is_file = is_file, .optional = optional, .name = name };
}

/* Whether a text holds a ${...} that has no default, or whose default holds one. */
static bool is_unknown(const char *text)
{
    struct core_references walk = { text, 0 };
    struct core_reference reference;

    while (core_references_next(&walk, &reference))
        if (!reference.has_default)
            return true;
    return false;
}

/* Mistakes in the references were reported when the configuration was read. */
static void gather_text(struct core_export *export, const struct core_export_file *file,
                        const char *text)
{
    struct core_arena *arena = &export->arena;
    struct core_references walk = { text, 0 };
    struct core_reference reference;

    while (core_references_next(&walk, &reference)) {
        const char *name = core_arena_strndup(arena, reference.name, reference.name_len);
        bool optional = reference.has_default || reference.is_nested;

        if (reference.kind == CORE_REFERENCE_FILE && *name)
            add_reference(export, true, false, beside(arena, file->target, name));
        else if (reference.kind == CORE_REFERENCE_ENV)
            add_reference(export, false, optional, name);
    }
}

static void gather(struct core_export *export, const struct core_export_file *file,
                   const struct core_node *node)
{
    if (!node)
        return;
    if (node->kind == CORE_NODE_SCALAR)
        gather_text(export, file, node->text);
    for (size_t i = 0; i < node->len && node->kind == CORE_NODE_LIST; i++)
        gather(export, file, node->items[i]);
    for (size_t i = 0; i < node->len && node->kind == CORE_NODE_MAP; i++)
        gather(export, file, node->entries[i].value);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Reads a file and adds it, unless it is there already. */
static void add_file(struct core_export *export, const char *path, const char *target,
                     struct core_problems *problems)
{
    RC_BUF_AUTO(text, CORE_YAML_MAX_BYTES);
    struct core_arena *arena = &export->arena;
    const struct core_place place = { .file = path };
    struct core_export_file file = { .path = core_arena_strdup(arena, path), .target = target };
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < export->file_count; i++)
        if (strcmp(export->files[i].target, target) == 0)
            return;
    if (core_file_read(path, &text, &err)) {
        core_problem_add(problems, &place, "the file cannot be read: %s", err.cause);
        return;
    }
    file.text = core_arena_strndup(arena, text.data, text.len);
    file.root = core_yaml_parse_loose(arena, &place, file.text, problems);
    export->files = grown(arena, export->files, export->file_count, &export->file_capacity,
                          sizeof(*export->files));
    export->files[export->file_count++] = file;
    gather(export, &file, file.root);
}

static const char list_key[] = "for_each_file";

/* The file that an entry of the configuration names under 'key'. */
static void add_named(struct core_export *export, const struct core_export_file *file,
                      const struct core_entry *entry, const char *key)
{
    const struct core_node *named = core_node_get(entry->value, key);

    if (!named || named->kind != CORE_NODE_SCALAR || !*named->text)
        return;
    if (strstr(named->text, "${"))
        core_export_note(export, NULL, NULL,
                         "the %s of '%s' is '%s', which only the other machine knows; "
                         "put it there yourself%s",
                         key, entry->key, named->text,
                         strcmp(key, list_key) == 0 ? ", and mind that these are the jobs of its "
                                                      "default"
                                                    : "");
    else
        add_file(export, beside(&export->arena, file->path, named->text),
                 beside(&export->arena, file->target, named->text), export->problems);
}

/* The files that the entries of a section name. */
static void add_all_named(struct core_export *export, size_t index, const char *section)
{
    static const char *const keys[] = { "config_file", list_key };
    const struct core_export_file file = export->files[index];
    const struct core_node *map = core_node_get(file.root, section);

    for (size_t i = 0; map && map->kind == CORE_NODE_MAP && i < map->len; i++)
        for (size_t key = 0; key < RC_ARRAY_LEN(keys); key++)
            add_named(export, &file, &map->entries[i], keys[key]);
}

/* core.auth.tokens_file is a secret like any that ${file:...} names. */
static void add_tokens_file(struct core_export *export)
{
    for (size_t i = 0; i < export->file_count; i++) {
        const struct core_export_file *file = &export->files[i];
        const struct core_node *core = core_node_get(file->root, "core");
        const struct core_node *path = core_node_get(core_node_get(core, "auth"), "tokens_file");

        if (path && path->kind == CORE_NODE_SCALAR && *path->text && !is_unknown(path->text))
            add_reference(export, true, false, beside(&export->arena, file->target, path->text));
    }
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* The name of a file as a key: letters, digits, '-', '_' and '.'. */
static const char *key_of(struct core_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *key = core_arena_strdup(arena, slash ? slash + 1 : path);

    for (char *c = key; *c; c++)
        if ((unsigned char)*c >= 0x80 || (!isalnum((unsigned char)*c) && !strchr("-_.", *c)))
            *c = '_';
    return key;
}

static const char *with_hash(struct core_arena *arena, const char *key, const char *path)
{
    return core_arena_strf(arena, "%s-%08" PRIx32, key,
                           (uint32_t)core_export_hash(CORE_EXPORT_HASH, path));
}

/* Files of the same name get a hash of their path behind it. */
static void name_keys(struct core_export *export)
{
    struct core_arena *arena = &export->arena;
    struct core_export_file *files = export->files;
    struct core_export_reference *references = export->references;

    for (size_t i = 0; i < export->file_count; i++) {
        files[i].key = key_of(arena, files[i].target);
        for (size_t j = 0; j < i; j++)
            if (strcmp(files[i].key, files[j].key) == 0)
                files[i].key = with_hash(arena, files[i].key, files[i].target);
    }
    for (size_t i = 0; i < export->reference_count; i++) {
        references[i].key = references[i].name;
        if (!references[i].is_file)
            continue;
        references[i].key = key_of(arena, references[i].name);
        for (size_t j = 0; j < i; j++)
            if (references[j].is_file && strcmp(references[i].key, references[j].key) == 0)
                references[i].key = with_hash(arena, references[i].key, references[i].name);
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

void core_export_read_files(struct core_export *export)
{
    /* Mistakes in these files were found when the configuration was read. */
    CORE_PROBLEMS_AUTO(known);
    struct core_arena *arena = &export->arena;
    const struct core_config *config = export->config;
    struct stat st;

    export->config_target = CONTAINER_FOLDER;
    for (size_t i = 0; i < config->file_count; i++) {
        const char *name = strrchr(config->files[i], '/');
        const char *target =
            core_arena_strf(arena, CONTAINER_FOLDER "/%s", name ? name + 1 : config->files[i]);
        RC_STR_AUTO path = realpath(config->files[i], NULL);

        add_file(export, path ? path : config->files[i], target, &known);
        if (stat(export->config_path, &st) == 0 && S_ISREG(st.st_mode))
            export->config_target = target;
    }
    for (size_t i = 0, count = export->file_count; i < count; i++) {
        add_all_named(export, i, "plugins");
        add_all_named(export, i, "jobs");
    }
    if (export->is_daemon)
        add_tokens_file(export);
    name_keys(export);
}

/* ---- single values --------------------------------------------------------------------------- */

/* A value of 'core' as it stands, and the file that it stands in. */
static const char *raw_value(const struct core_export *export, const char *key,
                             const struct core_export_file **file)
{
    for (size_t i = 0; i < export->file_count; i++) {
        const struct core_node *map = core_node_get(export->files[i].root, "core");
        const char *text = core_node_text(map, key);

        if (text) {
            *file = &export->files[i];
            return text;
        }
    }
    return NULL;
}

bool core_export_core_unknown(const struct core_export *export, const char *key)
{
    const struct core_export_file *file = NULL;
    const char *text = raw_value(export, key, &file);

    return text && is_unknown(text);
}

const char *core_export_core_path(struct core_export *export, const char *key)
{
    const struct core_export_file *file = NULL;
    const char *text = raw_value(export, key, &file);

    if (!text || !*text || is_unknown(text))
        return NULL;
    if (rc_str_starts(text, "sqlite://"))
        text += strlen("sqlite://");
    return beside(&export->arena, file->target, text);
}
