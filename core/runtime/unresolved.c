/*
 * What a shared object lacks. The system's own dynamic loader answers, in the mode of ldd(1): it
 * maps the libraries and looks up every symbol, but runs no code of them, resolvers included.
 */
#include <runtime/image.h>

#include <run-core/str.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_OUTPUT_BYTES = 1024 * 1024 };

/* The loader of this process; NULL if it was linked statically. */
static const char *own_loader(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    unsigned long count = getauxval(AT_PHNUM);
    uintptr_t base = 0;

    for (unsigned long i = 0; headers && i < count; i++)
        if (headers[i].p_type == PT_PHDR)
            base = (uintptr_t)headers - headers[i].p_vaddr;
    for (unsigned long i = 0; headers && i < count; i++)
        if (headers[i].p_type == PT_INTERP)
            return (const char *)(base + headers[i].p_vaddr);
    return NULL;
}

static enum rc_code start(const char *loader, const char *path, int out_fd, pid_t *pid,
                          struct rc_error *err)
{
    /* Of our environment only what dlopen() would look at too. */
    char tracing[] = "LD_TRACE_LOADED_OBJECTS=1", binding[] = "LD_BIND_NOW=1",
         warning[] = "LD_WARN=1";
    RC_STR_AUTO search =
        getenv("LD_LIBRARY_PATH") ? rc_strf("LD_LIBRARY_PATH=%s", getenv("LD_LIBRARY_PATH")) : NULL;
    char *environment[] = { tracing, binding, warning, search, NULL };
    RC_STR_AUTO loader_word = rc_strdup(loader);
    RC_STR_AUTO path_word = rc_strdup(path);
    char *words[] = { loader_word, path_word, NULL };
    posix_spawn_file_actions_t actions;
    int failed;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return rc_fail_errno(err, ENOMEM, "cannot start '%s'", loader);
    (void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDERR_FILENO);
    failed = posix_spawn(pid, loader, &actions, NULL, words, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    return failed ? rc_fail_errno(err, failed, "cannot start '%s'", loader) : RC_OK;
}

static void read_all(int fd, struct rc_buf *out)
{
    char chunk[4096];

    for (;;) {
        ssize_t got = read(fd, chunk, sizeof(chunk));

        if (got > 0)
            rc_buf_add(out, chunk, (size_t)got);
        else if (got == 0 || errno != EINTR)
            return;
    }
}

/*
 * Takes what matters out of the loader's lines: "libx.so.1 => not found" and "undefined symbol: f,
 * version V (file)". A symbol that this very process offers would be found by dlopen() before all
 * others.
 */
static void take_line(const char *line, struct rc_buf *out)
{
    static const char undefined[] = "undefined symbol: ";
    const char *missing = strstr(line, " => not found"), *symbol = strstr(line, undefined);

    line += strspn(line, " \t");
    if (missing) {
        RC_STR_AUTO name = rc_strndup(line, (size_t)(missing - line));

        rc_buf_addf(out, "library '%s'\n", name);
    } else if (symbol) {
        const char *start_of = symbol + sizeof(undefined) - 1;
        RC_STR_AUTO name = rc_strndup(start_of, strcspn(start_of, " \t,("));

        if (!dlsym(RTLD_DEFAULT, name))
            rc_buf_addf(out, "symbol '%s'\n", name);
    }
}

enum rc_code core_image_unresolved(const char *path, struct rc_buf *out, struct rc_error *err)
{
    const char *loader = own_loader();
    RC_STR_AUTO with_slash = strchr(path, '/') ? rc_strdup(path) : rc_strf("./%s", path);
    RC_BUF_AUTO(lines, MAX_OUTPUT_BYTES);
    int pipe_fds[2];
    pid_t pid;

    if (!loader || access(loader, X_OK) != 0)
        return rc_fail(err, RC_UNSUPPORTED, "no dynamic loader that could be asked");
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return rc_fail_errno(err, errno, "cannot make a pipe");
    if (start(loader, with_slash, pipe_fds[1], &pid, err)) {
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
        return err->code;
    }
    (void)close(pipe_fds[1]);
    read_all(pipe_fds[0], &lines);
    (void)close(pipe_fds[0]);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;

    for (char *line = lines.data; *line;) {
        size_t len = strcspn(line, "\n");
        bool last = line[len] == '\0';

        line[len] = '\0';
        take_line(line, out);
        line += len + (last ? 0 : 1);
    }
    return rc_buf_check(out, err);
}
