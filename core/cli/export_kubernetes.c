/*
 * 'run-core export kubernetes': CronJobs that run one job each, or a Deployment of the daemon, and
 * the objects that both need. Secrets are only named, never written.
 */
#include <cli/export_kubernetes_times.h>
#include <cli/export_pod.h>

#include <os/clock.h>
#include <runtime/exit.h>

#include <run-core/str.h>

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum {
    NAME_LIMIT = 52,                /* Kubernetes adds 11 characters to a CronJob's name */
    CONFIG_MAP_BYTES = 1024 * 1024, /* the most that a ConfigMap may hold */
    SHORTEST_DEADLINE_S = 60,       /* less, and its controller may pass over a slot */
    MISSED_SLOTS = 100,             /* more of them, and the controller gives the CronJob up */
    START_S = 60,                   /* for a pod to be placed and its image to be fetched */
    STOP_S = 5,                     /* for run-core to end, after its worker has */
    KEPT_JOBS = 3,
    DAEMON_STOP_S = 15,
    DAEMONS = 2, /* where they share a server */
};

static const char annotation_prefix[] = "run-core/";

/* ---- metadata -------------------------------------------------------------------------------- */

/* What objects are labelled with; NULL leaves a label out. */
struct labels {
    const char *instance, *component;
};

static void emit_labels(struct core_emitter *emitter, const struct labels *labels)
{
    core_emit_begin(emitter, "labels");
    core_emit_text(emitter, "app.kubernetes.io/name", "run-core");
    if (labels->instance)
        core_emit_text(emitter, "app.kubernetes.io/instance", labels->instance);
    if (labels->component)
        core_emit_text(emitter, "app.kubernetes.io/component", labels->component);
    core_emit_text(emitter, "app.kubernetes.io/managed-by", "run-core");
    core_emit_end(emitter);
}

/* The head of a document, with 'metadata' left open. */
static void begin_object(const struct core_export *export, struct core_emitter *emitter,
                         const char *version, const char *kind, const char *name,
                         const struct labels *labels)
{
    core_emit_text(emitter, "apiVersion", version);
    core_emit_text(emitter, "kind", kind);
    core_emit_begin(emitter, "metadata");
    core_emit_text(emitter, "name", name);
    if (export->name_space)
        core_emit_text(emitter, "namespace", export->name_space);
    emit_labels(emitter, labels);
}

static void emit_annotation(struct core_export *export, struct core_emitter *emitter,
                            const char *name, const char *text)
{
    const char *key = core_arena_strf(&export->arena, "%s%s", annotation_prefix, name);

    if (strchr(text, '\n'))
        core_emit_block(emitter, key, text);
    else
        core_emit_text(emitter, key, text);
}

/* ---- what pods refer to ---------------------------------------------------------------------- */

static const struct labels shared = { NULL, NULL };

static void add_account(struct core_export *export)
{
    RC_BUF_AUTO(text, CORE_EXPORT_TEXT_BYTES);
    struct core_emitter emitter = { .out = &text };

    begin_object(export, &emitter, "v1", "ServiceAccount", CORE_POD_ACCOUNT, &shared);
    core_emit_end(&emitter);
    core_emit_bool(&emitter, "automountServiceAccountToken", false);
    core_export_add(export, "run-core.serviceaccount.yaml", &text);
}

/* How the Secrets are made that the configuration refers to. */
static void emit_secrets_comment(struct core_export *export, struct core_emitter *emitter)
{
    RC_BUF_AUTO(values, 64 * 1024);
    RC_BUF_AUTO(files, 64 * 1024);
    struct core_arena *arena = &export->arena;
    const char *suffix =
        export->name_space ? core_arena_strf(arena, " --namespace %s", export->name_space) : "";

    for (size_t i = 0; i < export->reference_count; i++) {
        const struct core_export_reference *reference = &export->references[i];

        if (reference->is_file)
            rc_buf_addf(&files, " --from-file=%s=FILE", reference->key);
        else
            rc_buf_addf(&values, " --from-literal=%s=VALUE", reference->name);
    }
    if (values.len || files.len)
        core_emit_comment(emitter, "The configuration refers to secrets, which are not in here. "
                                   "Make them first:");
    if (values.len)
        core_emit_comment(emitter, core_arena_strf(arena, "kubectl create secret generic %s%s%s",
                                                   CORE_POD_ENVIRONMENT, suffix, values.data));
    if (files.len)
        core_emit_comment(emitter, core_arena_strf(arena, "kubectl create secret generic %s%s%s",
                                                   CORE_POD_FILES, suffix, files.data));
}

/* What whoever has the objects alone would miss. */
static void emit_left_out_comment(struct core_export *export, struct core_emitter *emitter)
{
    for (size_t i = 0; i < export->left_out_count; i++)
        core_emit_comment(
            emitter,
            core_arena_strf(&export->arena,
                            "The job '%s' is not in here: it runs at @startup, which a CronJob "
                            "does not know. Give it another schedule, run it once yourself "
                            "('run-core run %s'), or leave all jobs to the daemon ('run-core "
                            "export kubernetes --as daemon').",
                            export->left_out[i]->name, export->left_out[i]->name));
}

static void add_config(struct core_export *export)
{
    RC_BUF_AUTO(text, CORE_EXPORT_TEXT_BYTES);
    struct core_emitter emitter = { .out = &text };
    size_t bytes = 0;

    emit_left_out_comment(export, &emitter);
    emit_secrets_comment(export, &emitter);
    begin_object(export, &emitter, "v1", "ConfigMap", CORE_POD_CONFIG, &shared);
    core_emit_end(&emitter);
    core_emit_begin(&emitter, "data");
    for (size_t i = 0; i < export->file_count; i++) {
        core_emit_block(&emitter, export->files[i].key, export->files[i].text);
        bytes += strlen(export->files[i].text);
    }
    core_emit_end(&emitter);
    if (bytes > CONFIG_MAP_BYTES)
        core_problem_add(export->problems, &(struct core_place){ .file = export->config_path },
                         "the files of the configuration have %zu bytes; a ConfigMap of Kubernetes "
                         "holds %d",
                         bytes, CONFIG_MAP_BYTES);
    core_export_add(export, "run-core.configmap.yaml", &text);
}

static void add_claim(struct core_export *export)
{
    RC_BUF_AUTO(text, CORE_EXPORT_TEXT_BYTES);
    struct core_emitter emitter = { .out = &text };

    begin_object(export, &emitter, "v1", "PersistentVolumeClaim", CORE_POD_STATE, &shared);
    core_emit_end(&emitter);
    core_emit_begin(&emitter, "spec");
    core_emit_begin(&emitter, "accessModes");
    core_emit_item_text(&emitter, "ReadWriteOnce");
    core_emit_end(&emitter);
    core_emit_begin(&emitter, "resources");
    core_emit_begin(&emitter, "requests");
    core_emit_text(&emitter, "storage", "1Gi");
    core_emit_end(&emitter);
    core_emit_end(&emitter);
    core_emit_end(&emitter);
    core_export_add(export, "run-core.persistentvolumeclaim.yaml", &text);
}

/* Stores that lie on the disk of a machine: a pod has none of them. */
static void note_stores(struct core_export *export)
{
    const struct core_config *config = export->config;

    for (size_t i = 0; i < config->store_count; i++)
        if (config->stores[i].url && rc_str_starts(config->stores[i].url, "file:"))
            core_export_note(export, NULL, NULL,
                             "the store '%s' is %s, which pods do not have; mount a volume there, "
                             "or give the store another url",
                             config->stores[i].name, config->stores[i].url);
}

static bool is_label(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > 63 || name[0] == '-' || name[len - 1] == '-')
        return false;
    for (; *name; name++)
        if ((unsigned char)*name >= 0x80 ||
            !(islower((unsigned char)*name) || isdigit((unsigned char)*name) || *name == '-'))
            return false;
    return true;
}

static struct core_pod_state add_shared(struct core_export *export)
{
    struct core_pod_state state = core_pod_state_of(export);

    if (export->name_space && !is_label(export->name_space))
        core_problem_add(export->problems, &(struct core_place){ .file = "--namespace" },
                         "'%s' cannot be a namespace: use lower-case letters, digits and '-'",
                         export->name_space);
    note_stores(export);
    add_account(export);
    add_config(export);
    if (!state.on_server)
        add_claim(export);
    return state;
}

/* ---- a job ----------------------------------------------------------------------------------- */

static void note_differences(struct core_export *export, const struct core_job_settings *job,
                             const struct core_times *times, struct core_export_notes *notes)
{
    char a[RC_AMOUNT_TEXT];

    if (times->kind == CORE_SCHEDULE_CRON && times->cron.second != 1)
        core_export_note(export, notes, job,
                         "Kubernetes knows no seconds: it starts at the full minute");
    if (times->kind == CORE_SCHEDULE_CRON && times->unlike_both)
        core_export_note(export, notes, job,
                         "where clocks change in %s, Kubernetes leaves out the times that are "
                         "skipped, and runs twice at those that come twice",
                         times->zone);
    if (job->concurrency == CORE_QUEUE)
        core_export_note(export, notes, job,
                         "Kubernetes has no queue: of the slots that come while a run goes on, "
                         "only the last is made up for");
    if (job->misfire == CORE_MISFIRE_ALL)
        core_export_note(export, notes, job,
                         "of the slots that were missed, Kubernetes makes up only for the last");
    if (job->retry.attempts > 1 && job->retry.backoff_ms != 10000)
        core_export_note(export, notes, job,
                         "Kubernetes waits 10s before the second attempt, and twice as long before "
                         "each further one, not %s",
                         rc_format_duration(job->retry.backoff_ms, a));
    if (job->notify.len)
        core_export_note(export, notes, job, "notify is the daemon's: nobody is told here");
}

static const char *policy_of(int concurrency)
{
    switch ((enum core_concurrency)concurrency) {
    case CORE_ALLOW:
        return "Allow";
    case CORE_REPLACE:
        return "Replace";
    case CORE_FORBID:
    case CORE_QUEUE:
        break;
    }
    return "Forbid";
}

/*
 * How late a slot may still be started. Only the last one that was missed ever is, so it does not
 * matter that the time is kept short enough for the controller to count the slots in it.
 */
static int64_t deadline_of(const struct core_job_settings *job, const struct core_times *times)
{
    int64_t deadline_s = SHORTEST_DEADLINE_S;

    if (job->misfire != CORE_MISFIRE_SKIP)
        deadline_s = core_export_seconds(job->catchup_window_ms);
    if (times->shortest_ms / 1000 < deadline_s / MISSED_SLOTS)
        deadline_s = times->shortest_ms / 1000 * MISSED_SLOTS;
    return deadline_s < SHORTEST_DEADLINE_S ? SHORTEST_DEADLINE_S : deadline_s;
}

static void emit_exit_rule(struct core_emitter *emitter, const int *statuses, size_t count)
{
    core_emit_item(emitter);
    core_emit_text(emitter, "action", "FailJob");
    core_emit_begin(emitter, "onExitCodes");
    core_emit_text(emitter, "containerName", "run-core");
    core_emit_text(emitter, "operator", "In");
    core_emit_begin(emitter, "values");
    for (size_t i = 0; i < count; i++)
        core_emit_item_number(emitter, statuses[i]);
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
}

/*
 * A mistake in the configuration stays one, and a skipped run skipped, if the job does not say
 * otherwise; a pod that was evicted did not fail.
 */
static void emit_failure_policy(struct core_emitter *emitter, const struct core_job_settings *job)
{
    static const int final[] = { CORE_EXIT_USAGE, CORE_EXIT_SKIPPED };

    core_emit_begin(emitter, "podFailurePolicy");
    core_emit_begin(emitter, "rules");
    emit_exit_rule(emitter, final, job->retry.skipped ? 1 : RC_ARRAY_LEN(final));
    core_emit_item(emitter);
    core_emit_text(emitter, "action", "Ignore");
    core_emit_begin(emitter, "onPodConditions");
    core_emit_item(emitter);
    core_emit_text(emitter, "type", "DisruptionTarget");
    core_emit_text(emitter, "status", "True");
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
}

static void emit_job_pod(struct core_export *export, struct core_emitter *emitter,
                         const struct core_job_settings *job, const struct core_pod_state *state)
{
    const char *listen = core_arena_strf(&export->arena, "0.0.0.0:%d", CORE_POD_PORT);
    const char *const args[] = { "run",      job->name, "--config", export->config_target,
                                 "--listen", listen,    NULL };
    const int64_t kill_s = core_export_seconds(job->kill_after_ms);
    const struct core_pod pod = {
        .args = args,
        .is_job = true,
        .port = CORE_POD_PORT,
        .grace_s = kill_s + STOP_S,
        /* run-core itself keeps the timeout; this is for when it does not get to run. */
        .deadline_s =
            job->timeout_ms ? core_export_seconds(job->timeout_ms) + kill_s + STOP_S + START_S : 0,
        .memory_bytes = job->limits.memory_bytes,
        .state = *state,
    };

    core_pod_emit(export, emitter, &pod);
}

/* A label's value begins and ends with a letter or a digit. A job's name does begin so. */
static const char *label_value(struct core_export *export, const char *name)
{
    size_t len = strlen(name);

    while (len > 0 && !isalnum((unsigned char)name[len - 1]))
        len--;
    return core_arena_strndup(&export->arena, name, len);
}

static void emit_template(struct core_export *export, struct core_emitter *emitter,
                          const struct core_job_settings *job, const struct labels *labels,
                          const struct core_pod_state *state)
{
    core_emit_begin(emitter, "jobTemplate");
    core_emit_begin(emitter, "metadata");
    emit_labels(emitter, labels);
    core_emit_end(emitter);
    core_emit_begin(emitter, "spec");
    core_emit_number(emitter, "backoffLimit", job->retry.attempts - 1);
    emit_failure_policy(emitter, job);
    core_emit_begin(emitter, "template");
    core_emit_begin(emitter, "metadata");
    emit_labels(emitter, labels);
    core_emit_end(emitter);
    core_emit_begin(emitter, "spec");
    emit_job_pod(export, emitter, job, state);
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
    core_emit_end(emitter);
}

static void emit_notes(struct core_export *export, struct core_emitter *emitter,
                       const struct core_export_notes *notes)
{
    RC_BUF_AUTO(text, 64 * 1024);

    for (size_t i = 0; i < notes->len; i++)
        rc_buf_addf(&text, "%s\n", notes->items[i]);
    if (text.len)
        emit_annotation(export, emitter, "notes", text.data);
}

static void add_cron_job(struct core_export *export, const struct core_job_settings *job,
                         const struct core_times *times, const char *schedule,
                         const struct core_pod_state *state)
{
    RC_BUF_AUTO(text, CORE_EXPORT_TEXT_BYTES);
    struct core_emitter emitter = { .out = &text };
    struct core_export_notes notes = { .len = 0 };
    const char *name = core_export_label(export, job->name, NAME_LIMIT);
    const struct labels labels = {
        .instance = label_value(export, job->name),
        .component = job->plugin ? label_value(export, job->plugin) : NULL,
    };

    note_differences(export, job, times, &notes);
    begin_object(export, &emitter, "batch/v1", "CronJob", name, &labels);
    core_emit_begin(&emitter, "annotations");
    emit_annotation(export, &emitter, "job", job->name);
    emit_annotation(export, &emitter, "schedule", job->schedule);
    emit_notes(export, &emitter, &notes);
    core_emit_end(&emitter);
    core_emit_end(&emitter);
    core_emit_begin(&emitter, "spec");
    core_emit_text(&emitter, "schedule", schedule);
    core_emit_text(&emitter, "timeZone", times->zone);
    core_emit_text(&emitter, "concurrencyPolicy", policy_of(job->concurrency));
    core_emit_number(&emitter, "startingDeadlineSeconds", deadline_of(job, times));
    core_emit_number(&emitter, "successfulJobsHistoryLimit", KEPT_JOBS);
    core_emit_number(&emitter, "failedJobsHistoryLimit", KEPT_JOBS);
    emit_template(export, &emitter, job, &labels, state);
    core_emit_end(&emitter);
    core_export_add(export, core_arena_strf(&export->arena, "%s.cronjob.yaml", name), &text);
}

/* A schedule that is a mistake is reported when its times are read. */
static bool is_startup(const struct core_job_settings *job)
{
    const struct core_schedule_options options = { .name = job->name };
    struct rc_error ignored = RC_ERROR_INIT;
    struct core_schedule *schedule = NULL;
    bool is;

    is = core_schedule_parse(job->schedule, &options, &schedule, &ignored) == RC_OK &&
         core_schedule_kind(schedule) == CORE_SCHEDULE_STARTUP;
    core_schedule_free(schedule);
    return is;
}

/*
 * Who means all jobs shall get those that can be CronJobs. It is a mistake as any where somebody
 * asked for that very job, or where nothing else would be left.
 */
static void leave_out_startups(struct core_export *export)
{
    const struct core_job_settings **kept =
        core_arena_alloc(&export->arena, (export->job_count + 1) * sizeof(void *));
    const struct core_job_settings **left_out =
        core_arena_alloc(&export->arena, (export->job_count + 1) * sizeof(void *));
    size_t kept_count = 0, left_out_count = 0;

    for (size_t i = 0; i < export->job_count; i++)
        if (is_startup(export->jobs[i]))
            left_out[left_out_count++] = export->jobs[i];
        else
            kept[kept_count++] = export->jobs[i];
    if (export->named || kept_count == 0)
        return;
    export->jobs = kept;
    export->job_count = kept_count;
    export->left_out = left_out;
    export->left_out_count = left_out_count;
    for (size_t i = 0; i < left_out_count; i++)
        core_export_note(export, NULL, left_out[i],
                         "a CronJob has no @startup, so it is left out; give it another schedule, "
                         "or leave all jobs to the daemon ('--as daemon')");
}

void core_export_kubernetes_jobs(struct core_export *export)
{
    struct core_pod_state state;

    leave_out_startups(export);
    state = add_shared(export);
    if (!state.on_server)
        core_export_note(export, NULL, NULL,
                         "the jobs keep their state in SQLite, on a volume of one node; for more "
                         "than one, give core.state a postgresql:// URL");
    for (size_t i = 0; i < export->job_count; i++) {
        const struct core_job_settings *job = export->jobs[i];
        RC_BUF_AUTO(schedule, 1024);
        struct rc_error err = RC_ERROR_INIT;
        struct core_times times;

        if (core_times_read(job, core_clock_now_unix_ms(), &times, &err))
            core_problem_add(export->problems, &job->place, "job '%s': %s%s%s", job->name,
                             err.context, err.context[0] ? ": " : "", err.cause);
        else if (core_kubernetes_schedule(&times, &schedule, &err))
            core_problem_add(
                export->problems, &job->place,
                "job '%s': Kubernetes cannot keep the schedule '%s': %s; leave the job "
                "to the daemon ('--as daemon')",
                job->name, job->schedule, err.cause);
        else
            add_cron_job(export, job, &times, schedule.data, &state);
    }
}

/* ---- the daemon ------------------------------------------------------------------------------ */

static const struct labels daemon_labels = { "run-core", "daemon" };

/* The port that is reached from outside the pod, where the probes come from; 0: none. */
static int64_t port_of(struct core_export *export)
{
    const char *listen = export->config->settings.listen;
    const char *colon = listen ? strrchr(listen, ':') : NULL;
    int64_t port = 0;

    if (!colon || rc_str_starts(listen, "unix:") || rc_str_starts(listen, "127.") ||
        rc_str_starts(listen, "localhost:") || rc_str_starts(listen, "[::1]") ||
        !rc_parse_int(colon + 1, &port) || port == 0) {
        core_export_note(export, NULL, NULL,
                         "core.listen is %s, which the probes of Kubernetes do not reach, so there "
                         "are none; give it 0.0.0.0:%d, and core.auth a tokens_file",
                         listen ? listen : "not given", CORE_POD_PORT);
        return 0;
    }
    return port;
}

static void add_service(struct core_export *export)
{
    RC_BUF_AUTO(text, CORE_EXPORT_TEXT_BYTES);
    struct core_emitter emitter = { .out = &text };

    begin_object(export, &emitter, "v1", "Service", "run-core", &daemon_labels);
    core_emit_end(&emitter);
    core_emit_begin(&emitter, "spec");
    core_emit_begin(&emitter, "selector");
    core_emit_text(&emitter, "app.kubernetes.io/name", "run-core");
    core_emit_text(&emitter, "app.kubernetes.io/component", daemon_labels.component);
    core_emit_end(&emitter);
    core_emit_begin(&emitter, "ports");
    core_emit_item(&emitter);
    core_emit_text(&emitter, "name", "web");
    core_emit_number(&emitter, "port", CORE_POD_PORT);
    core_emit_text(&emitter, "targetPort", "web");
    core_emit_end(&emitter);
    core_emit_end(&emitter);
    core_emit_end(&emitter);
    core_export_add(export, "run-core.service.yaml", &text);
}

/* Pods are replaced when the configuration has changed: the annotation changes with it. */
static void emit_config_hash(struct core_export *export, struct core_emitter *emitter)
{
    uint64_t hash = CORE_EXPORT_HASH;

    for (size_t i = 0; i < export->file_count; i++)
        hash = core_export_hash(core_export_hash(hash, export->files[i].target),
                                export->files[i].text);
    core_emit_begin(emitter, "annotations");
    emit_annotation(export, emitter, "config",
                    core_arena_strf(&export->arena, "%016" PRIx64, hash));
    core_emit_end(emitter);
}

static void add_deployment(struct core_export *export, const struct core_pod_state *state,
                           int64_t port)
{
    RC_BUF_AUTO(text, CORE_EXPORT_TEXT_BYTES);
    struct core_emitter emitter = { .out = &text };
    const char *const args[] = { "daemon", "--config", export->config_target, NULL };
    const char *socket = core_export_core_path(export, "socket");
    const struct core_pod pod = {
        .args = args,
        .port = port,
        .grace_s = core_export_seconds(export->config->settings.shutdown_grace_ms) + DAEMON_STOP_S,
        .state = *state,
        .spool = core_export_core_path(export, "spool"),
        .socket_folder = socket ? core_pod_folder_of(export, socket) : NULL,
    };

    begin_object(export, &emitter, "apps/v1", "Deployment", "run-core", &daemon_labels);
    core_emit_end(&emitter);
    core_emit_begin(&emitter, "spec");
    core_emit_number(&emitter, "replicas", state->on_server ? DAEMONS : 1);
    core_emit_begin(&emitter, "strategy"); /* a state in SQLite has one daemon at a time */
    core_emit_text(&emitter, "type", state->on_server ? "RollingUpdate" : "Recreate");
    core_emit_end(&emitter);
    core_emit_begin(&emitter, "selector");
    core_emit_begin(&emitter, "matchLabels");
    core_emit_text(&emitter, "app.kubernetes.io/name", "run-core");
    core_emit_text(&emitter, "app.kubernetes.io/component", daemon_labels.component);
    core_emit_end(&emitter);
    core_emit_end(&emitter);
    core_emit_begin(&emitter, "template");
    core_emit_begin(&emitter, "metadata");
    emit_labels(&emitter, &daemon_labels);
    emit_config_hash(export, &emitter);
    core_emit_end(&emitter);
    core_emit_begin(&emitter, "spec");
    core_pod_emit(export, &emitter, &pod);
    core_emit_end(&emitter);
    core_emit_end(&emitter);
    core_emit_end(&emitter);
    core_export_add(export, "run-core.deployment.yaml", &text);
}

void core_export_kubernetes_daemon(struct core_export *export)
{
    const struct core_pod_state state = add_shared(export);
    const int64_t port = port_of(export);
    if (port)
        add_service(export);
    add_deployment(export, &state, port);
}
