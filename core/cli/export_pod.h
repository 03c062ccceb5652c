/*
 * The pods of an export: one container of run-core with its configuration, secrets and state.
 * Private to core/cli/export*.c.
 */
#ifndef CORE_CLI_EXPORT_POD_H
#define CORE_CLI_EXPORT_POD_H

#include <cli/export.h>
#include <cli/export_yaml.h>

/* The objects that pods refer to. */
#define CORE_POD_CONFIG "run-core-config"
#define CORE_POD_ENVIRONMENT "run-core-env"
#define CORE_POD_FILES "run-core-files"
#define CORE_POD_STATE "run-core-state"
#define CORE_POD_ACCOUNT "run-core"

enum { CORE_POD_PORT = 8081 };

/* Where the state lies. */
struct core_pod_state {
    bool on_server;     /* PostgreSQL */
    const char *folder; /* of SQLite, and of what a daemon keeps beside it */
};

struct core_pod_state core_pod_state_of(struct core_export *export);

/* The folder in which a file of the pod lies. */
const char *core_pod_folder_of(struct core_export *export, const char *path);

struct core_pod {
    const char *const *args; /* ends with NULL */
    bool is_job;             /* ends by itself, and is not started again in place */
    int64_t port;            /* of the probes; 0: none */
    int64_t grace_s;         /* from being asked to end until being killed */
    int64_t deadline_s;      /* 0: none */
    int64_t memory_bytes;    /* 0: no limit */
    struct core_pod_state state;
    const char *spool, *socket_folder; /* where they are to be writable; or NULL */
};

/* The keys of a pod's 'spec'. */
void core_pod_emit(struct core_export *export, struct core_emitter *emitter,
                   const struct core_pod *pod);

#endif
