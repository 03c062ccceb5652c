/*
 * What a plugin's route sees of a request: the struct behind the plugin's handle. The functions of
 * the plugin's table are in host_exchange.c; serve.c makes exchanges and judges what becomes of
 * them.
 */
#ifndef CORE_RUNTIME_EXCHANGE_H
#define CORE_RUNTIME_EXCHANGE_H

#include <http/server.h>
#include <runtime/run.h>

#include <base/arena.h>
#include <base/path_template.h>

struct rc_exchange {
    struct core_http_exchange *http;
    struct core_job *job; /* of the handler */
    struct core_arena arena;
    struct core_path_values values; /* their names and values end with a NUL here */
    bool admitted;                  /* the daemon has let in who asks */
    bool replied;
};

#endif
