/*
 * Any bytes as a YAML or JSON document: a tree or a mistake with a place, never both
 * missing. Every node of a tree is visited, aliases too.
 */
#include <config/yaml.h>

#include <run-core/attr.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(const struct core_node *node, int depth, size_t *visits)
{
    RC_ASSERT(depth <= CORE_YAML_MAX_DEPTH + 1);
    RC_ASSERT(node->place.line >= 1 && node->place.column >= 1);
    RC_ASSERT(++*visits <= 2 * (size_t)CORE_YAML_MAX_ALIASED);
    switch (node->kind) {
    case CORE_NODE_NULL:
        return;
    case CORE_NODE_SCALAR:
        RC_ASSERT(node->text != NULL);
        return;
    case CORE_NODE_LIST:
        for (size_t i = 0; i < node->len; i++)
            visit(node->items[i], depth + 1, visits);
        return;
    case CORE_NODE_MAP:
        for (size_t i = 0; i < node->len; i++) {
            RC_ASSERT(core_node_get(node, node->entries[i].key) == node->entries[i].value);
            visit(node->entries[i].value, depth + 1, visits);
        }
        return;
    }
}

static void run(const char *file, const uint8_t *data, size_t size)
{
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_problems problems;
    size_t visits = 0;

    core_problems_init(&problems);
    const struct core_node *node =
        core_yaml_parse(&arena, file, (const char *)data, size, &problems);

    RC_ASSERT(node || problems.count > 0);
    if (node)
        visit(node, 0, &visits);
    core_problems_clear(&problems);
    core_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (memmem(data, size, "file:", 5))
        return 0; /* would read whatever file it names */
    run("t.yaml", data, size);
    run("t.json", data, size);
    return 0;
}
