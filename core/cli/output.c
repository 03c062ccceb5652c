/*
 * Results to stdout, complaints to stderr. Everything that could hold a value of the
 * configuration is masked on its way out.
 */
#include <cli/output.h>

#include <cli/cli.h>
#include <config/secrets.h>
#include <os/path.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int core_cli_print(const struct rc_buf *text, int status)
{
    int failed;

    if (text->overflow) {
        (void)fprintf(stderr, "run-core: the result has more than %d bytes\n",
                      CORE_CLI_OUTPUT_BYTES);
        return CORE_EXIT_FAILED;
    }
    failed = core_fd_write(STDOUT_FILENO, text->data, text->len);
    if (failed) {
        (void)fprintf(stderr, "run-core: cannot write the result to stdout: %s\n",
                      strerror(failed));
        return CORE_EXIT_FAILED;
    }
    return status;
}

void core_cli_add_printable(struct rc_buf *out, const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            rc_buf_addf(out, "\\x%02x", (unsigned)(unsigned char)*text);
        else
            rc_buf_addc(out, *text);
    }
}

int core_cli_complain(const struct rc_error *err)
{
    RC_BUF_AUTO(line, 4 * RC_ERROR_TEXT);
    RC_BUF_AUTO(shown, 16 * RC_ERROR_TEXT);

    rc_buf_addf(&line, "%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);
    core_secret_mask(line.data);
    /* A file's name may hold what steers a terminal, and would end the line in a log. */
    core_cli_add_printable(&shown, line.data);
    (void)fprintf(stderr, "run-core: %s\n", shown.data);
    return CORE_EXIT_USAGE;
}

int core_cli_report(struct core_problems *problems)
{
    core_problems_sort(problems);
    for (const struct core_problem *problem = problems->first; problem; problem = problem->next) {
        RC_BUF_AUTO(line, CORE_CLI_OUTPUT_BYTES);

        rc_buf_adds(&line, core_problem_text(problems, problem));
        core_secret_mask(line.data);
        (void)fprintf(stderr, "%s\n", line.data);
    }
    return problems->count ? CORE_EXIT_USAGE : CORE_EXIT_OK;
}

void core_cli_add_json(struct rc_buf *out, const char *text)
{
    if (text)
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
}
