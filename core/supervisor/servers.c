/*
 * Keeps the servers of plugins' routes alive. A server is a name with at most one process that
 * answers and one that is to follow it; what a process does is runtime/serve.c.
 */
#include <supervisor/servers.h>

#include <os/backoff.h>
#include <os/clock.h>
#include <os/file.h>
#include <runtime/output.h>
#include <runtime/serve.h>

#include <run-core/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    GOOD_LIFE_MS = 60000, /* a server that lived so long is started again without much ado */
    START_MS = 60000,     /* until it answers */
    LINGER_MS = 1000,     /* for requests that are on their way to it when it is replaced */
    END_MS = 20000,       /* once it was asked to; more than it takes by itself, see serve.h */
    FOLDER_MODE = 0700,
};

struct server;

/* One process. It stays in the list of its servers until it was reaped. */
struct process {
    struct core_servers *servers;
    struct server *server; /* NULL: it was replaced, and is about to end */
    struct core_child child;
    int ready_fd, ready_end; /* of a pipe: here, and in the child */
    struct core_watch *ready_watch;
    char *name, *socket;
    int64_t started_mono_ms;
    struct core_timer patience; /* with its start, its last requests, its end */
    bool lingers;
    struct process *next;
};

struct server {
    struct core_servers *servers;
    char *plugin;
    struct process *present, *following; /* answers; is to take its place */
    struct core_timer again;
    int64_t failures; /* in a row */
    bool wanted;
    struct server *next;
};

struct core_servers {
    struct core_nursery nursery;
    const struct core_config *config;
    struct server *list;
    struct process *processes;
    char *folder;
    int64_t generation;
    bool stopping;
};

/* The daemon's number in "PLUGIN-PID-GENERATION.sock"; 0: it is no such name. */
static pid_t owner_of(const char *name)
{
    size_t end = strlen(name), begin;
    RC_STR_AUTO number = NULL;
    int64_t pid = 0;

    if (!rc_str_ends(name, ".sock"))
        return 0;
    while (end > 0 && name[end - 1] != '-')
        end--;
    begin = end > 0 ? end - 1 : 0;
    while (begin > 0 && name[begin - 1] != '-')
        begin--;
    if (begin == 0 || end <= begin + 1)
        return 0;
    number = rc_strndup(name + begin, end - 1 - begin);
    return rc_parse_int(number, &pid) && pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

/* Sockets of servers that were killed together with their daemon. */
static void remove_leftovers(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        pid_t owner = owner_of(entry->d_name);

        if (owner > 0 && kill(owner, 0) != 0 && errno == ESRCH)
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        (void)closedir(dir);
}

struct core_servers *core_servers_new(const struct core_nursery *nursery, const char *spool)
{
    struct core_servers *servers = rc_calloc(1, sizeof(*servers));

    servers->nursery = *nursery;
    servers->folder = rc_strf("%s/serve", spool);
    remove_leftovers(servers->folder);
    return servers;
}

/* Of one that was reaped, or never started. */
static void free_process(struct process *process)
{
    struct process **at = &process->servers->processes;

    while (*at != process)
        at = &(*at)->next;
    *at = process->next;
    core_timer_cancel(&process->patience);
    core_watch_end(process->ready_watch);
    if (process->ready_fd >= 0)
        (void)close(process->ready_fd);
    (void)unlink(process->socket); /* where it could not do so itself */
    free(process->socket);
    free(process->name);
    free(process);
}

/* ---- the child ------------------------------------------------------------------------------- */

static int serve(void *context)
{
    const struct process *process = context;
    const struct core_config *config = process->servers->config;
    RC_STR_AUTO listen = rc_strf("unix:%s", process->socket);
    const struct core_serve_request request = {
        .config = config,
        .plugin = process->name,
        .listen = listen,
        .behind_daemon = true,
        .log_level = config->settings.log_level,
        .ready_fd = process->ready_end,
    };

    return core_serve_main(&request);
}

/* ---- starting -------------------------------------------------------------------------------- */

static void on_end(void *context);
static void on_ready(void *context);

static void start_later(struct server *server, const char *why)
{
    static const struct core_backoff backoff = { .first_ms = 1000, .longest_ms = 60 * 1000 };
    int64_t pause_ms = core_backoff_whole_ms(&backoff, ++server->failures);

    core_output_log(RC_LOG_ERROR, NULL, 0,
                    "the server of the plugin '%s' %s; it is started again in %lld s",
                    server->plugin, why, (long long)(pause_ms / 1000));
    core_timer_set(server->servers->nursery.loop, &server->again, core_clock_mono_ms() + pause_ms);
}

/* Only a plugin that hangs while it is loaded, or will hear nothing of signals, comes here. */
static void lose_patience(void *context)
{
    struct process *process = context;

    core_output_log(RC_LOG_ERROR, NULL, 0,
                    "a server of the plugin '%s' did not %s in time; killing it", process->name,
                    process->server ? "begin to answer" : "end");
    (void)kill(process->child.pid, SIGKILL);
}

static void be_patient(struct process *process, int64_t ms, void (*then)(void *process))
{
    process->patience.fn = then;
    core_timer_set(process->servers->nursery.loop, &process->patience, core_clock_mono_ms() + ms);
}

static struct process *new_process(struct core_servers *servers, struct server *server)
{
    struct process *process = rc_calloc(1, sizeof(*process));

    *process = (struct process){
        .servers = servers,
        .server = server,
        .child = { .pidfd = -1 },
        .ready_fd = -1,
        .name = rc_strdup(server->plugin),
        .socket = rc_strf("%s/%s-%d-%lld.sock", servers->folder, server->plugin, (int)getpid(),
                          (long long)++servers->generation),
        .started_mono_ms = core_clock_mono_ms(),
        .patience = { .clock = CORE_TIMER_MONO, .context = process },
        .next = servers->processes,
    };
    servers->processes = process;
    return process;
}

static enum rc_code start_process(struct process *process, struct rc_error *err)
{
    struct core_servers *servers = process->servers;
    int ends[2];
    enum rc_code code;

    if (core_dir_make(servers->folder, FOLDER_MODE, err))
        return err->code;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return rc_fail_errno(err, errno, "make a pipe");
    process->ready_fd = ends[0];
    process->ready_end = ends[1];
    code = core_child_start(&servers->nursery, serve, process, process->ready_end, on_end, process,
                            &process->child, err);
    (void)close(ends[1]);
    if (code == RC_OK && core_loop_watch(servers->nursery.loop, process->ready_fd, on_ready,
                                         process, &process->ready_watch, err)) {
        (void)core_child_end(&process->child, /* kill = */ true);
        code = err->code;
    }
    return code;
}

static void start(struct server *server)
{
    struct process *process = new_process(server->servers, server);
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO why = NULL;

    core_timer_cancel(&server->again);
    if (start_process(process, &err) == RC_OK) {
        be_patient(process, START_MS, lose_patience);
        server->following = process;
        return;
    }
    free_process(process);
    why = rc_strf("could not be started: %s", err.cause);
    start_later(server, why);
}

static void start_again(void *context)
{
    start(context);
}

/* The process answers no new requests from now on, and ends when it has no others. */
static void retire(void *context)
{
    struct process *process = context;

    process->server = NULL;
    process->lingers = false;
    be_patient(process, END_MS, lose_patience);
    (void)kill(process->child.pid, SIGTERM);
}

/* It gets no new requests from now on. */
static void replace(struct process *process)
{
    process->server = NULL;
    process->lingers = true;
    be_patient(process, LINGER_MS, retire);
}

static void on_ready(void *context)
{
    struct process *process = context;
    struct server *server = process->server;
    char byte;
    bool said = read(process->ready_fd, &byte, 1) == 1;

    core_watch_end(process->ready_watch);
    process->ready_watch = NULL;
    if (!said || !server)
        return; /* its end comes, too */
    core_timer_cancel(&process->patience);
    server->following = NULL;
    if (server->present)
        replace(server->present);
    server->present = process;
}

/* ---- ending ---------------------------------------------------------------------------------- */

static char *how_it_ended(int status)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    if (number == 0)
        return rc_strf("ended with status %d", WEXITSTATUS(status));
    return rc_strf("was ended by signal %d (%s)", number,
                   sigdescr_np(number) ? sigdescr_np(number) : "unknown");
}

static void on_end(void *context)
{
    struct process *process = context;
    struct server *server = process->server;
    int64_t lived_ms = core_clock_mono_ms() - process->started_mono_ms;
    RC_STR_AUTO how = NULL;

    how = how_it_ended(core_child_end(&process->child, /* kill = */ false));
    if (server && server->present == process)
        server->present = NULL;
    if (server && server->following == process)
        server->following = NULL;
    free_process(process);
    /* Also one that was to follow another, which has the former configuration. */
    if (!server || !server->wanted || server->following || server->servers->stopping)
        return;
    if (lived_ms >= GOOD_LIFE_MS)
        server->failures = 0;
    start_later(server, how);
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static struct server *find(const struct core_servers *servers, const char *plugin)
{
    for (struct server *server = servers->list; server; server = server->next)
        if (strcmp(server->plugin, plugin) == 0)
            return server;
    return NULL;
}

static struct server *find_or_add(struct core_servers *servers, const char *plugin)
{
    struct server *server = find(servers, plugin);

    if (server)
        return server;
    server = rc_calloc(1, sizeof(*server));
    *server = (struct server){
        .servers = servers,
        .plugin = rc_strdup(plugin),
        .again = { .clock = CORE_TIMER_MONO, .fn = start_again, .context = server },
        .next = servers->list,
    };
    servers->list = server;
    return server;
}

/* Lets go of its processes, which end by themselves. */
static void end_server(struct server *server)
{
    core_timer_cancel(&server->again);
    server->wanted = false;
    if (server->present)
        replace(server->present);
    if (server->following)
        retire(server->following);
    server->present = server->following = NULL;
}

void core_servers_configure(struct core_servers *servers, const struct core_config *config)
{
    servers->config = config;
    for (struct server *server = servers->list; server; server = server->next)
        server->wanted = false;
    for (size_t i = 0; i < config->plugin_count && !servers->stopping; i++) {
        struct server *server;

        if (!config->plugins[i].serve)
            continue;
        server = find_or_add(servers, config->plugins[i].name);
        server->wanted = true;
        server->failures = 0;
        if (server->following)
            retire(server->following);
        server->following = NULL;
        start(server);
    }
    for (struct server *server = servers->list; server; server = server->next)
        if (!server->wanted)
            end_server(server);
}

const char *core_servers_socket(const struct core_servers *servers, const char *plugin,
                                const char **why_not)
{
    const struct server *server = find(servers, plugin);

    if (!server || !server->wanted) {
        *why_not = "it is not served: set 'serve: true' under 'plugins:'";
        return NULL;
    }
    if (!server->present) {
        *why_not = server->following ? "its server is starting" : "its server is not running";
        return NULL;
    }
    return server->present->socket;
}

/* ---- the end --------------------------------------------------------------------------------- */

void core_servers_stop(struct core_servers *servers)
{
    servers->stopping = true;
    for (struct server *server = servers->list; server; server = server->next)
        end_server(server);
    for (struct process *process = servers->processes; process; process = process->next)
        if (process->lingers)
            retire(process);
}

size_t core_servers_count(const struct core_servers *servers)
{
    size_t count = 0;

    for (const struct process *process = servers->processes; process; process = process->next)
        count++;
    return count;
}

void core_servers_close(struct core_servers *servers)
{
    struct server *next;

    if (!servers)
        return;
    core_servers_stop(servers);
    while (servers->processes) {
        (void)core_child_end(&servers->processes->child, /* kill = */ true);
        free_process(servers->processes);
    }
    for (struct server *server = servers->list; server; server = next) {
        next = server->next;
        free(server->plugin);
        free(server);
    }
    free(servers->folder);
    free(servers);
}
