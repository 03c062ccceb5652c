/*
 * The server of a plugin's routes: a process that loads one plugin and calls its handlers, several
 * at a time. 'run-core serve PLUGIN' is one, and so is each that the daemon starts.
 */
#ifndef CORE_RUNTIME_SERVE_H
#define CORE_RUNTIME_SERVE_H

#include <config/config.h>

struct core_serve_request {
    const struct core_config *config;
    const char *plugin;
    const struct core_node *set; /* map of --set, or NULL */
    const char *listen;          /* an address as in http/address.h */
    bool dry_run;
    bool behind_daemon; /* whose word counts on whom it has let in */
    int log_level;
    int ready_fd; /* gets a byte, and is closed, once it listens; 0: none */
};

/*
 * Serves until SIGTERM or SIGINT, then lets what has begun end, for ten seconds. After those, or
 * at a second signal, handlers are cancelled; two seconds later, or at a third signal, the process
 * ends without those that go on. Answers /healthcheck/is-alive and /healthcheck/is-ready by itself.
 * Returns the process's exit status; what went wrong was logged. Once in a process.
 */
int core_serve_main(const struct core_serve_request *request);

#endif
