/*
 * Fetches what stands at the config_urls of a run.
 */
#ifndef CORE_RUNTIME_CONFIG_FETCH_H
#define CORE_RUNTIME_CONFIG_FETCH_H

#include <http/client.h>
#include <runtime/binding.h>

/* The texts, which are freed with core_fetched_clear(). */
struct core_fetched {
    struct core_config_text items[CORE_CONFIG_URLS];
    struct rc_buf bodies[CORE_CONFIG_URLS];
    struct core_config_texts texts; /* of these items */
};

/* 'out' is zeroed, and stays where it is. 'client' is one with retries, or NULL. */
RC_MUST_CHECK enum rc_code core_config_fetch(const struct core_binding_source *source,
                                             struct core_http_client *client,
                                             const struct core_cancel *cancel,
                                             struct core_fetched *out, struct rc_error *err);
/* Also of a zeroed one. */
void core_fetched_clear(struct core_fetched *fetched);

#endif
