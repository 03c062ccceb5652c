/*
 * Reads a plugin's descriptor out of its file without running anything of it: no constructor,
 * no library that it needs. Its memory is rebuilt as plain data (elf.h) and every pointer
 * between the descriptor's tables is checked before the loader's own checks read them.
 */
#ifndef CORE_RUNTIME_IMAGE_H
#define CORE_RUNTIME_IMAGE_H

#include <runtime/elf.h>
#include <runtime/plugin.h>

struct core_image {
    struct core_plugin *plugin; /* its text lies in 'elf'; its functions must not be called */
    struct core_elf elf;
};

#define CORE_IMAGE_INIT                                                                            \
    {                                                                                              \
        .plugin = NULL                                                                             \
    }

/*
 * RC_INVALID, with distinct messages: not an ELF file, not a shared object, another machine,
 * damaged (anything out of bounds), no descriptor; then as core_plugin_adopt(). Whether the file
 * may be trusted is not asked. On RC_OK to be closed.
 */
RC_MUST_CHECK enum rc_code core_image_open(const char *path, struct core_image *out,
                                           struct rc_error *err);

/* For RC_CLEANUP too; a closed or empty image may be closed again. */
void core_image_close(struct core_image *image);

/*
 * Appends, one a line, what this process could not resolve if it loaded the file: "library
 * 'libx.so.1'", "symbol 'f'". The system's dynamic loader is asked in its tracing mode, which runs
 * nothing of the file. RC_UNSUPPORTED: there is no such loader here.
 */
RC_MUST_CHECK enum rc_code core_image_unresolved(const char *path, struct rc_buf *out,
                                                 struct rc_error *err);

#endif
