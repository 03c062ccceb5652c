/*
 * The command line as a client of the daemon, over its Unix socket.
 */
#ifndef CORE_CLI_CLIENT_H
#define CORE_CLI_CLIENT_H

#include <cli/cli.h>

#include <config/config.h>
#include <config/json.h>
#include <http/client.h>

struct core_client {
    char *socket_path;
    struct core_config *config; /* whatever of it could be understood */
    struct core_arena arena;    /* of replies */
    struct core_http_answer answer;
    const struct core_node *reply; /* the JSON of the latest answer; or NULL */
};

/* A local client that closes itself. */
#define CORE_CLIENT_AUTO(name) RC_CLEANUP(core_client_close) struct core_client name = { 0 }

/* Finds the socket by the configuration that 'arguments' name; nothing is connected yet. */
RC_MUST_CHECK enum rc_code core_client_open(const struct core_arguments *arguments,
                                            struct core_client *out, struct rc_error *err);
void core_client_close(struct core_client *client);

/*
 * Makes a call; 'body' is JSON, or NULL. RC_UNAVAILABLE: no daemon answers at that socket, which
 * the message says with its remedy. RC_OK whatever the status is.
 */
RC_MUST_CHECK enum rc_code core_client_call(struct core_client *client, const char *method,
                                            const char *path, const char *body,
                                            struct rc_error *err);
/* The same where the body of a good answer is passed on as it comes, however long that takes. */
RC_MUST_CHECK enum rc_code core_client_stream(struct core_client *client, const char *path,
                                              enum rc_code (*on_body)(void *context,
                                                                      const char *data, size_t len,
                                                                      struct rc_error *err),
                                              void *context, struct rc_error *err);

/*
 * For a command that asks one thing: makes the call and, if the answer is no good one, says why on
 * stderr. Returns the exit status; the answer is in 'client' where that is CORE_EXIT_OK.
 */
int core_client_ask(struct core_client *client, const char *method, const char *path,
                    const char *body);
/* What is said of the latest answer, which is no good one. */
int core_client_complain(const struct core_client *client);

/* "/api/v1/jobs/NAME/trigger"; 'last' may be NULL. Appended. */
void core_client_add_path(struct rc_buf *out, const char *collection, const char *name,
                          const char *last);
/* A text of the latest reply, or NULL. */
const char *core_client_text(const struct core_client *client, const char *key);

/* Writes the latest reply to stdout, as it came. */
int core_client_print(const struct core_client *client, int status);

/* Follows a run until it has ended; returns the exit status that it had. */
int core_client_wait(struct core_client *client, const char *run, bool json);

/* Completion: the jobs of the configuration; the latest runs, or those that have not ended. */
void core_client_complete_jobs(const struct core_arguments *arguments, struct rc_buf *out);
void core_client_complete_runs(const struct core_arguments *arguments, bool only_active,
                               struct rc_buf *out);

#endif
