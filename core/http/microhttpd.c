/*
 * Loads libmicrohttpd.
 */
#include <http/microhttpd.h>

#include <os/library.h>

#define SYMBOL(name)                                                                               \
    {                                                                                              \
        "MHD_" #name, offsetof(struct core_microhttpd, name)                                       \
    }

static const struct core_library_symbol symbols[] = {
    SYMBOL(start_daemon),
    SYMBOL(stop_daemon),
    SYMBOL(run),
    SYMBOL(get_daemon_info),
    SYMBOL(get_timeout),
    SYMBOL(add_connection),
    SYMBOL(get_connection_info),
    SYMBOL(suspend_connection),
    SYMBOL(resume_connection),
    SYMBOL(get_connection_values),
    SYMBOL(lookup_connection_value),
    SYMBOL(create_response_from_buffer),
    SYMBOL(create_response_from_callback),
    SYMBOL(add_response_header),
    SYMBOL(queue_response),
    SYMBOL(destroy_response),
};

enum rc_code core_microhttpd_load(struct core_microhttpd *out, struct rc_error *err)
{
    if (core_library_load("libmicrohttpd.so.12", symbols, RC_ARRAY_LEN(symbols), out, err))
        return rc_context(err, "serve HTTP (install the package libmicrohttpd12)");
    return RC_OK;
}
