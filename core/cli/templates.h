/*
 * The files that 'run-core new-plugin' writes, from templates/ and built into the binary.
 */
#ifndef CORE_CLI_TEMPLATES_H
#define CORE_CLI_TEMPLATES_H

struct core_template {
    const char *file; /* NAME stands for the plugin's name */
    const char *text; /* @NAME@, @IDENT@ and @PREFIX@ are replaced */
};

/* Ends with { 0 }. */
extern const struct core_template core_templates[];

#endif
