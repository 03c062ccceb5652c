/*
 * Writes the pod of an export: probes, resources and rights as the deployments of the programs
 * have them that run-core's plugins replace, and mounts for what the configuration refers to.
 */
#include <cli/export_pod.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CONFIG_FOLDER "/etc/run-core/conf.d"
#define STATE_FOLDER "/var/lib/run-core"

enum {
    PROBE_S = 30,
    GROUP_ID = 10001, /* of the image's user, whom a volume shall belong to */
    MEBI = 1024 * 1024,
};

/* ---- where things lie ------------------------------------------------------------------------ */

const char *core_pod_folder_of(struct core_export *export, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash || slash == path)
        return "/";
    return core_arena_strndup(&export->arena, path, (size_t)(slash - path));
}

/* Whether 'path' is the folder, or lies in it. */
static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static void check_state_folder(struct core_export *export, const char *folder)
{
    if (strcmp(folder, "/") == 0 || is_below(folder, CONFIG_FOLDER))
        core_problem_add(export->problems, &(struct core_place){ .file = export->config_path },
                         "core.state would lie in '%s' of a pod, which cannot be written to; name "
                         "a folder of its own, such as " STATE_FOLDER,
                         folder);
}

struct core_pod_state core_pod_state_of(struct core_export *export)
{
    struct core_pod_state state = { .folder = STATE_FOLDER };
    const char *url = export->config->settings.state;
    const char *path;

    if (core_export_core_unknown(export, "state")) {
        core_export_note(export, NULL, NULL,
                         "core.state is a ${...}, which only the cluster knows; it is taken for a "
                         "PostgreSQL server");
        state.on_server = true;
        return state;
    }
    state.on_server = url && rc_str_starts(url, "postgres");
    path = url && !state.on_server ? core_export_core_path(export, "state") : NULL;
    if (!path)
        return state;
    /* A URL names the file itself. */
    state.folder = strstr(url, "://") ? core_pod_folder_of(export, path) : path;
    check_state_folder(export, state.folder);
    return state;
}

/* What is within the folder of the configuration has to come with it: nothing mounts into a
 * mount that cannot be written. */
static const char *within_config(const char *target)
{
    return rc_str_starts(target, CONFIG_FOLDER "/") ? target + strlen(CONFIG_FOLDER "/") : NULL;
}

/* ---- container ------------------------------------------------------------------------------- */

static void emit_key_ref(struct core_emitter *emitter, const char *name, bool optional)
{
    core_emit_item(emitter);
    core_emit_text(emitter, "name", name);
    core_emit_begin(emitter, "valueFrom");
    core_emit_begin(emitter, "secretKeyRef");
    core_emit_text(emitter, "name", CORE_POD_ENVIRONMENT);
    core_emit_text(emitter, "key", name);
    if (optional)
        core_emit_bool(emitter, "optional", true);
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
}

/*
 * The variables that the configuration names, without which the pod does not start, and all others
 * of the Secret: plugins take options from the environment too.
 */
static void emit_environment(const struct core_export *export, struct core_emitter *emitter)
{
    bool begun = false;

    for (size_t i = 0; i < export->reference_count; i++) {
        const struct core_export_reference *reference = &export->references[i];

        if (reference->is_file)
            continue;
        if (!begun)
            core_emit_begin(emitter, "env");
        begun = true;
        emit_key_ref(emitter, reference->name, reference->optional);
    }
    if (begun)
        core_emit_end(emitter);
    core_emit_begin(emitter, "envFrom");
    core_emit_item(emitter);
    core_emit_begin(emitter, "secretRef");
    core_emit_text(emitter, "name", CORE_POD_ENVIRONMENT);
    core_emit_bool(emitter, "optional", true);
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
}

static void emit_probe(struct core_emitter *emitter, const char *key, const char *path)
{
    core_emit_begin(emitter, key);
    core_emit_begin(emitter, "httpGet");
    core_emit_text(emitter, "path", path);
    core_emit_text(emitter, "port", "web");
    core_emit_end(emitter);
    core_emit_number(emitter, "initialDelaySeconds", PROBE_S);
    core_emit_number(emitter, "periodSeconds", PROBE_S);
    core_emit_end(emitter);
}

static void emit_probes(struct core_emitter *emitter, int64_t port)
{
    core_emit_begin(emitter, "ports");
    core_emit_item(emitter);
    core_emit_text(emitter, "name", "web");
    core_emit_number(emitter, "containerPort", port);
    core_emit_text(emitter, "protocol", "TCP");
    core_emit_end(emitter);
    core_emit_end(emitter);
    emit_probe(emitter, "livenessProbe", "/healthcheck/is-alive");
    emit_probe(emitter, "readinessProbe", "/healthcheck/is-ready");
}

/* As much is asked for as may be taken; without a limit, what the programs of old had. */
static void emit_resources(struct core_emitter *emitter, int64_t memory_bytes)
{
    char amount[32] = "256Mi";

    if (memory_bytes > 0 && memory_bytes % MEBI == 0)
        (void)snprintf(amount, sizeof(amount), "%" PRId64 "Mi", memory_bytes / MEBI);
    else if (memory_bytes > 0)
        (void)snprintf(amount, sizeof(amount), "%" PRId64, memory_bytes);
    core_emit_begin(emitter, "resources");
    if (memory_bytes > 0) {
        core_emit_begin(emitter, "limits");
        core_emit_text(emitter, "memory", amount);
        core_emit_end(emitter);
    }
    core_emit_begin(emitter, "requests");
    core_emit_text(emitter, "memory", amount);
    core_emit_end(emitter);
    core_emit_end(emitter);
}

/* Folders to write to that live as long as the pod; nothing else but the state is writable. */
static const char *const folders[] = { "tmp", "spool", "socket" };

/* Where the one of 'folders' is; NULL where it is within another that is writable already. */
static const char *folder_of(const struct core_pod *pod, size_t index)
{
    const char *const paths[] = { "/tmp", pod->spool, pod->socket_folder };
    const char *path = paths[index];

    if (!path || is_below(path, pod->state.folder))
        return NULL;
    for (size_t i = 0; i < index; i++)
        if (paths[i] && is_below(path, paths[i]))
            return NULL;
    return path;
}

static void emit_mount(struct core_emitter *emitter, const char *name, const char *path,
                       const char *part, bool read_only)
{
    core_emit_item(emitter);
    core_emit_text(emitter, "name", name);
    core_emit_text(emitter, "mountPath", path);
    if (part)
        core_emit_text(emitter, "subPath", part);
    if (read_only)
        core_emit_bool(emitter, "readOnly", true);
    core_emit_end(emitter);
}

static void emit_mounts(struct core_export *export, struct core_emitter *emitter,
                        const struct core_pod *pod)
{
    core_emit_begin(emitter, "volumeMounts");
    emit_mount(emitter, "config", CONFIG_FOLDER, NULL, true);
    for (size_t i = 0; i < export->file_count; i++) {
        const char *target = export->files[i].target;

        if (!within_config(target))
            emit_mount(emitter, "config-files", target, export->files[i].key, true);
    }
    for (size_t i = 0; i < export->reference_count; i++) {
        const struct core_export_reference *reference = &export->references[i];

        if (reference->is_file && !within_config(reference->name))
            emit_mount(emitter, "secret-files", reference->name, reference->key, true);
    }
    emit_mount(emitter, "state", pod->state.folder, NULL, false);
    for (size_t i = 0; i < RC_ARRAY_LEN(folders); i++)
        if (folder_of(pod, i))
            emit_mount(emitter, folders[i], folder_of(pod, i), NULL, false);
    core_emit_end(emitter);
}

static void emit_container(struct core_export *export, struct core_emitter *emitter,
                           const struct core_pod *pod)
{
    core_emit_item(emitter);
    core_emit_text(emitter, "name", "run-core");
    core_emit_text(emitter, "image", export->image);
    core_emit_begin(emitter, "command");
    core_emit_item_text(emitter, "run-core");
    core_emit_end(emitter);
    core_emit_begin(emitter, "args");
    for (const char *const *arg = pod->args; *arg; arg++)
        core_emit_item_text(emitter, *arg);
    core_emit_end(emitter);
    emit_environment(export, emitter);
    if (pod->port)
        emit_probes(emitter, pod->port);
    emit_resources(emitter, pod->memory_bytes);
    core_emit_begin(emitter, "securityContext");
    core_emit_bool(emitter, "allowPrivilegeEscalation", false);
    core_emit_bool(emitter, "readOnlyRootFilesystem", true);
    core_emit_begin(emitter, "capabilities");
    core_emit_begin(emitter, "drop");
    core_emit_item_text(emitter, "ALL");
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
    emit_mounts(export, emitter, pod);
    core_emit_end(emitter);
}

/* ---- volumes --------------------------------------------------------------------------------- */

static void emit_path(struct core_emitter *emitter, const char *key, const char *path)
{
    core_emit_item(emitter);
    core_emit_text(emitter, "key", key);
    core_emit_text(emitter, "path", path);
    core_emit_end(emitter);
}

static void begin_source(struct core_emitter *emitter, const char *kind, const char *name)
{
    core_emit_item(emitter);
    core_emit_begin(emitter, kind);
    core_emit_text(emitter, "name", name);
    core_emit_begin(emitter, "items");
}

static void end_source(struct core_emitter *emitter)
{
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
}

/* The folder of the configuration: its files, and the secrets that lie beside them. */
static void emit_config_volume(struct core_export *export, struct core_emitter *emitter)
{
    bool begun = false;

    core_emit_item(emitter);
    core_emit_text(emitter, "name", "config");
    core_emit_begin(emitter, "projected");
    core_emit_begin(emitter, "sources");
    begin_source(emitter, "configMap", CORE_POD_CONFIG);
    for (size_t i = 0; i < export->file_count; i++) {
        const char *target = export->files[i].target;

        if (within_config(target))
            emit_path(emitter, export->files[i].key, within_config(target));
    }
    end_source(emitter);
    for (size_t i = 0; i < export->reference_count; i++) {
        const char *target = export->references[i].name;

        if (!export->references[i].is_file || !within_config(target))
            continue;
        if (!begun)
            begin_source(emitter, "secret", CORE_POD_FILES);
        begun = true;
        emit_path(emitter, export->references[i].key, within_config(target));
    }
    if (begun)
        end_source(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
}

static bool any_outside(const struct core_export *export, bool secrets)
{
    for (size_t i = 0; !secrets && i < export->file_count; i++)
        if (!within_config(export->files[i].target))
            return true;
    for (size_t i = 0; secrets && i < export->reference_count; i++)
        if (export->references[i].is_file && !within_config(export->references[i].name))
            return true;
    return false;
}

static void emit_named_volume(struct core_emitter *emitter, const char *volume, const char *kind,
                              const char *key, const char *name)
{
    core_emit_item(emitter);
    core_emit_text(emitter, "name", volume);
    core_emit_begin(emitter, kind);
    core_emit_text(emitter, key, name);
    core_emit_end(emitter);
    core_emit_end(emitter);
}

static void emit_empty_volume(struct core_emitter *emitter, const char *name)
{
    core_emit_item(emitter);
    core_emit_text(emitter, "name", name);
    core_emit_empty_map(emitter, "emptyDir");
    core_emit_end(emitter);
}

static void emit_volumes(struct core_export *export, struct core_emitter *emitter,
                         const struct core_pod *pod)
{
    core_emit_begin(emitter, "volumes");
    emit_config_volume(export, emitter);
    if (any_outside(export, false))
        emit_named_volume(emitter, "config-files", "configMap", "name", CORE_POD_CONFIG);
    if (any_outside(export, true))
        emit_named_volume(emitter, "secret-files", "secret", "secretName", CORE_POD_FILES);
    if (pod->state.on_server)
        emit_empty_volume(emitter, "state");
    else
        emit_named_volume(emitter, "state", "persistentVolumeClaim", "claimName", CORE_POD_STATE);
    for (size_t i = 0; i < RC_ARRAY_LEN(folders); i++)
        if (folder_of(pod, i))
            emit_empty_volume(emitter, folders[i]);
    core_emit_end(emitter);
}

/* ---- pod ------------------------------------------------------------------------------------- */

void core_pod_emit(struct core_export *export, struct core_emitter *emitter,
                   const struct core_pod *pod)
{
    core_emit_text(emitter, "serviceAccountName", CORE_POD_ACCOUNT);
    core_emit_bool(emitter, "automountServiceAccountToken", false);
    if (pod->is_job)
        core_emit_text(emitter, "restartPolicy", "Never");
    if (pod->deadline_s)
        core_emit_number(emitter, "activeDeadlineSeconds", pod->deadline_s);
    core_emit_number(emitter, "terminationGracePeriodSeconds", pod->grace_s);
    core_emit_begin(emitter, "securityContext");
    core_emit_bool(emitter, "runAsNonRoot", true);
    core_emit_number(emitter, "fsGroup", GROUP_ID);
    core_emit_begin(emitter, "seccompProfile");
    core_emit_text(emitter, "type", "RuntimeDefault");
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_begin(emitter, "containers");
    emit_container(export, emitter, pod);
    core_emit_end(emitter);
    emit_volumes(export, emitter, pod);
}
