/*
 * From the name that a plugin gives an SQL engine to the settings of one.
 */
#ifndef CORE_RUNTIME_ENGINE_H
#define CORE_RUNTIME_ENGINE_H

#include <config/config.h>

/*
 * The engine of that name under 'sql', else one of that kind with nothing but defaults; NULL: the
 * only one that is configured, or the embedded one. What its settings point to belongs to 'config',
 * which may be NULL, and to 'arena'. RC_INVALID: there is none, or more than one.
 */
RC_MUST_CHECK enum rc_code core_engine_choose(const struct core_config *config, const char *name,
                                              struct core_arena *arena,
                                              struct core_engine_settings *out,
                                              struct rc_error *err);

#endif
