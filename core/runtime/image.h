/*
 * Reads a plugin's descriptor out of its file without running anything of it: no constructor,
 * no library that it needs. The file is mapped without execute permission and only
 * its own relative relocations are applied.
 */
#ifndef CORE_RUNTIME_IMAGE_H
#define CORE_RUNTIME_IMAGE_H

#include <runtime/plugin.h>

/*
 * RC_INVALID, with distinct messages: not an ELF file, not a shared object, another machine, damaged
 * (any offset out of bounds), no descriptor. As core_plugin_adopt() otherwise. The functions in the result must not be called.
 */
RC_MUST_CHECK enum rc_code core_image_read(const char *path, struct core_plugin **out,
                                           struct rc_error *err);

#endif
