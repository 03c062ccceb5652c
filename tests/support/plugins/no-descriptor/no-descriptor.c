/*
 * A shared object that is no plugin.
 */
#include <run-core/attr.h>

RC_EXPORT extern const int something_else;
const int something_else = 1;
