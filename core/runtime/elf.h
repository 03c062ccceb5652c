/*
 * A shared object's memory, built as the dynamic loader would but without running anything of
 * it: its segments are read into plain memory and its own relocations applied. What the file
 * says is never trusted: every offset is checked before it is followed.
 */
#ifndef CORE_RUNTIME_ELF_H
#define CORE_RUNTIME_ELF_H

#include <run-core/error.h>

#include <stddef.h>
#include <stdint.h>

struct core_elf {
    unsigned char *memory; /* the object's address 0; not executable */
    size_t bytes;
    uint64_t symtab, strtab, strtab_bytes, hash, gnu_hash; /* addresses; 0: absent */
};

/*
 * Opens a file. RC_INVALID, with distinct messages: not an ELF file, of another machine, a program,
 * damaged. On RC_OK to be closed.
 */
RC_MUST_CHECK enum rc_code core_elf_open(const char *path, struct core_elf *out,
                                         struct rc_error *err);
void core_elf_close(struct core_elf *elf);

/* Whether 'len' bytes at 'pointer' lie in the object's memory. */
bool core_elf_holds(const struct core_elf *elf, const void *pointer, size_t len);

/* The address of an exported variable of at least 'bytes' bytes, or NULL. */
const void *core_elf_variable(const struct core_elf *elf, const char *name, size_t bytes);

#endif
