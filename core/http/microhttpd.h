/*
 * The functions of libmicrohttpd in use, loaded when a server is opened.
 */
#ifndef CORE_HTTP_MICROHTTPD_H
#define CORE_HTTP_MICROHTTPD_H

#include <run-core/error.h>

#include <microhttpd.h>

/* As their own header declares them. */
struct core_microhttpd {
    __typeof__(&MHD_start_daemon) start_daemon;
    __typeof__(&MHD_stop_daemon) stop_daemon;
    __typeof__(&MHD_run) run;
    __typeof__(&MHD_get_daemon_info) get_daemon_info;
    __typeof__(&MHD_get_timeout) get_timeout;
    __typeof__(&MHD_add_connection) add_connection;
    __typeof__(&MHD_get_connection_info) get_connection_info;
    __typeof__(&MHD_suspend_connection) suspend_connection;
    __typeof__(&MHD_resume_connection) resume_connection;
    __typeof__(&MHD_get_connection_values) get_connection_values;
    __typeof__(&MHD_lookup_connection_value) lookup_connection_value;
    __typeof__(&MHD_create_response_from_buffer) create_response_from_buffer;
    __typeof__(&MHD_create_response_from_callback) create_response_from_callback;
    __typeof__(&MHD_add_response_header) add_response_header;
    __typeof__(&MHD_queue_response) queue_response;
    __typeof__(&MHD_destroy_response) destroy_response;
};

/* RC_UNSUPPORTED, RC_NOT_FOUND: it is not installed. */
RC_MUST_CHECK enum rc_code core_microhttpd_load(struct core_microhttpd *out, struct rc_error *err);

#endif
