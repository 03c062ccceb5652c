/*
 * Any document as a configuration: jobs of lists and plain ones have names of their own, and
 * nothing in them waits for an item any more.
 */
#include <config/config.h>
#include <config/interpolate.h>

#include <run-core/attr.h>
#include <run-core/str.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file that every configuration here is read from; its text is the input. */
static const char *put(const uint8_t *data, size_t size)
{
    static char path[64];
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("configuration", 0);
    RC_ASSERT(fd >= 0 && ftruncate(fd, 0) == 0);
    RC_ASSERT(pwrite(fd, data, size, 0) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return path;
}

static void visit(const struct core_node *node)
{
    RC_ASSERT(!node->each && node->place.file);
    for (size_t i = 0; i < node->len; i++)
        visit(node->kind == CORE_NODE_MAP ? node->entries[i].value : node->items[i]);
}

static void visit_references(const uint8_t *data, size_t size)
{
    RC_STR_AUTO text = rc_strndup((const char *)data, size);
    struct core_references walk = { text, 0 };
    struct core_reference one;

    RC_ASSERT(text);
    while (core_references_next(&walk, &one)) {
        RC_ASSERT(one.name >= text + 2 && one.name + one.name_len <= text + strlen(text));
        RC_ASSERT(!one.has_default || strncmp(one.name + one.name_len, ":-", 2) == 0);
    }
}

static void load(const char *path,
                 struct core_config *(*how)(const char *path, struct core_problems *problems))
{
    CORE_PROBLEMS_AUTO(problems);
    struct core_config *config = how(path, &problems);

    for (size_t i = 0; i < config->job_count; i++) {
        const struct core_job_settings *job = &config->jobs[i];

        RC_ASSERT(job->name && job->place.file);
        RC_ASSERT(core_config_job(config, job->name) == job);
        if (job->config)
            visit(job->config);
    }
    core_config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path;

    visit_references(data, size);
    if (memmem(data, size, "file", 4))
        return 0; /* would read whatever file it names */
    path = put(data, size);
    load(path, core_config_load);
    load(path, core_config_load_elsewhere);
    return 0;
}
