/*
 * run-core: a plugin-based job runner. Here stands what it can do; each command has a file of
 * its own below cli/.
 */
#include <cli/cli.h>

/* clang-format off */
static const struct core_command *const commands[] = {
    &core_command_run,
    &core_command_check,
    &core_command_list,
    &core_command_describe,
    &core_command_new_plugin,
    &core_command_check_plugin,
    &core_command_help,
    &core_command_version,
    /* For programs. */
    &core_command_complete,
    &core_command_manual,
    NULL,
};
/* clang-format on */

int main(int argc, char **argv)
{
    return core_cli_main(commands, argc, argv);
}
