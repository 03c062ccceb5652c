/*
 * 'run-core token': makes a token for the API and its line of auth.tokens_file.
 */
#include <cli/cli.h>
#include <cli/output.h>

#include <api/tokens.h>

#include <stdio.h>
#include <string.h>

static int run_token(const struct core_arguments *arguments)
{
    char token[CORE_TOKEN_TEXT], hash[CORE_TOKEN_HASH_HEX + 1];
    const char *name = arguments->words[0], *word = arguments->words[1];
    RC_BUF_AUTO(line, 1024);
    RC_BUF_AUTO(out, 4096);
    struct rc_error err = RC_ERROR_INIT;
    enum core_scope scope;

    if (!core_token_name_ok(name, strlen(name)))
        (void)rc_fail(&err, RC_INVALID,
                      "a name is of at most 63 visible ASCII characters, and "
                      "does not begin with '#'");
    else if (!core_scope_parse(word, strlen(word), &scope))
        (void)rc_fail(&err, RC_INVALID, "'%s' is no scope; there are read, run and admin", word);
    if (err.code || core_token_make(token, hash, &err))
        return core_cli_complain(&err);
    rc_buf_addf(&line, "%s %s %s", name, word, hash);
    if (arguments->json) {
        rc_buf_adds(&out, "{\"token\":");
        core_cli_add_json(&out, token);
        rc_buf_adds(&out, ",\"line\":");
        core_cli_add_json(&out, line.data);
        rc_buf_adds(&out, "}\n");
    } else {
        /* So that '>> FILE' adds the line, and the token is still seen. */
        (void)fprintf(stderr, "the token, shown only once: %s\n", token);
        rc_buf_addf(&out, "%s\n", line.data);
    }
    return core_cli_print(&out, CORE_EXIT_OK);
}

static void complete_scope(const struct core_arguments *arguments, struct rc_buf *out)
{
    if (arguments->word_count == 1)
        rc_buf_adds(out, "read\nrun\nadmin\n");
}

const struct core_command core_command_token = {
    .name = "token",
    .operands = "NAME SCOPE",
    .summary = "Makes a token of the API, with its line for auth.tokens_file.",
    .details = "SCOPE is read, run (also to trigger, cancel, pause and resume) or admin (also to "
               "reload). The line goes to stdout, for '>> FILE', and the token, of which the file "
               "holds only the hash, to stderr; with --json both to stdout. The daemon reads the "
               "file when it starts and at each reload.",
    .flags = CORE_FLAG_JSON,
    .min_words = 2,
    .max_words = 2,
    .run = run_token,
    .complete = complete_scope,
};
