/*
 * The checked walk over a descriptor in a file's image. What a descriptor means, and whether it is
 * a good one, is for core_plugin_adopt(); here it is only made sure that reading it cannot leave
 * the image, whatever the file holds.
 */
#include <runtime/image.h>

#include <string.h>

enum {
    MAX_ENTRIES = 1000, /* of one table */
    MAX_DEPTH = 8,      /* of tables of objects inside tables */
    MAX_TEXT_BYTES = 64 * 1024,
    MIN_STRUCT_BYTES = 16,
    MAX_STRUCT_BYTES = 4096,
};

/* The strides with which the plugin was compiled. */
struct walk {
    const struct core_elf *elf;
    size_t option_size, action_size, route_size;
};

static bool text_ok(const struct walk *walk, const char *text)
{
    size_t left;

    if (!text)
        return true;
    if (!core_elf_holds(walk->elf, text, 1))
        return false;
    left = walk->elf->bytes - (size_t)((const unsigned char *)text - walk->elf->memory);
    return memchr(text, '\0', left < MAX_TEXT_BYTES ? left : MAX_TEXT_BYTES) != NULL;
}

/*
 * Copies entry 'index' of a table to the present struct; members that the plugin does not have are
 * zero.
 */
static bool entry_at(const struct walk *walk, const void *table, size_t index, size_t stride,
                     void *out, size_t out_bytes)
{
    const unsigned char *entry = (const unsigned char *)table + index * stride;

    if (index >= MAX_ENTRIES || (uintptr_t)table % _Alignof(void *) != 0 ||
        !core_elf_holds(walk->elf, entry, stride))
        return false;
    memset(out, 0, out_bytes);
    memcpy(out, entry, stride < out_bytes ? stride : out_bytes);
    return true;
}

static bool choices_ok(const struct walk *walk, const char *const *choices)
{
    for (size_t i = 0; choices; i++) {
        const char *choice;

        if (!entry_at(walk, choices, i, sizeof(choice), &choice, sizeof(choice)) ||
            !text_ok(walk, choice))
            return false;
        if (!choice)
            break;
    }
    return true;
}

static bool options_ok(const struct walk *walk, const struct rc_option *options, int depth)
{
    if (depth > MAX_DEPTH)
        return false;
    for (size_t i = 0; options; i++) {
        struct rc_option option;

        if (!entry_at(walk, options, i, walk->option_size, &option, sizeof(option)))
            return false;
        if (!option.name)
            break;
        if (!text_ok(walk, option.name) || !text_ok(walk, option.def) ||
            !text_ok(walk, option.env) || !text_ok(walk, option.unit) ||
            !text_ok(walk, option.help) || !text_ok(walk, option.also) ||
            !choices_ok(walk, option.choices) || !options_ok(walk, option.items, depth + 1))
            return false;
    }
    return true;
}

static bool actions_ok(const struct walk *walk, const struct rc_action *actions)
{
    for (size_t i = 0; actions; i++) {
        struct rc_action action;

        if (!entry_at(walk, actions, i, walk->action_size, &action, sizeof(action)))
            return false;
        if (!action.name)
            break;
        if (!text_ok(walk, action.name) || !text_ok(walk, action.summary) ||
            !options_ok(walk, action.params, 0))
            return false;
    }
    return true;
}

static bool routes_ok(const struct walk *walk, const struct rc_route *routes)
{
    for (size_t i = 0; routes; i++) {
        struct rc_route route;

        if (!entry_at(walk, routes, i, walk->route_size, &route, sizeof(route)))
            return false;
        if (!route.method)
            break;
        if (!text_ok(walk, route.method) || !text_ok(walk, route.path) ||
            !text_ok(walk, route.summary))
            return false;
    }
    return true;
}

static bool size_ok(uint32_t bytes)
{
    return bytes >= MIN_STRUCT_BYTES && bytes <= MAX_STRUCT_BYTES && bytes % _Alignof(void *) == 0;
}

/*
 * Whether the head is one whose tables can be walked; of any other the loader reads nothing but the
 * head.
 */
static bool head_ok(const struct rc_plugin *plugin)
{
    return plugin->magic == RC_PLUGIN_MAGIC && plugin->abi_major == RC_ABI_MAJOR &&
           plugin->abi_minor <= RC_ABI_MINOR && size_ok(plugin->plugin_size) &&
           size_ok(plugin->option_size) && size_ok(plugin->action_size) &&
           size_ok(plugin->route_size);
}

static bool descriptor_ok(const struct core_elf *elf, const struct rc_plugin *descriptor)
{
    struct walk walk = {
        .elf = elf,
        .option_size = descriptor->option_size,
        .action_size = descriptor->action_size,
        .route_size = descriptor->route_size,
    };
    struct rc_plugin plugin;

    return entry_at(&walk, descriptor, 0, descriptor->plugin_size, &plugin, sizeof(plugin)) &&
           text_ok(&walk, plugin.name) && text_ok(&walk, plugin.version) &&
           text_ok(&walk, plugin.summary) && options_ok(&walk, plugin.options, 0) &&
           actions_ok(&walk, plugin.actions) && routes_ok(&walk, plugin.routes);
}

static enum rc_code read_descriptor(const char *path, struct core_image *image,
                                    struct rc_error *err)
{
    const void *symbol = core_elf_variable(&image->elf, RC_PLUGIN_SYMBOL, sizeof(void *));
    const struct rc_plugin *descriptor = NULL;

    if (symbol)
        memcpy(&descriptor, symbol, sizeof(descriptor));
    if (!descriptor)
        return rc_fail(err, RC_INVALID,
                       "'%s' is a shared library but no run-core plugin: it does not export "
                       "'%s'; the plugin's source needs RC_PLUGIN_EXPORT(...)",
                       path, RC_PLUGIN_SYMBOL);
    if ((uintptr_t)descriptor % _Alignof(struct rc_plugin) != 0 ||
        !core_elf_holds(&image->elf, descriptor, offsetof(struct rc_plugin, name)))
        return rc_fail(err, RC_INVALID,
                       "'%s' is damaged: '%s' does not point to a descriptor; build or copy it "
                       "again",
                       path, RC_PLUGIN_SYMBOL);
    if (head_ok(descriptor) && !descriptor_ok(&image->elf, descriptor))
        return rc_fail(err, RC_INVALID,
                       "'%s' is damaged, or one of its tables does not end with { 0 }: a table or "
                       "a text that the descriptor names lies outside its memory",
                       path);
    return core_plugin_adopt(path, descriptor, &image->plugin, err);
}

enum rc_code core_image_open(const char *path, struct core_image *out, struct rc_error *err)
{
    *out = (struct core_image)CORE_IMAGE_INIT;
    if (core_elf_open(path, &out->elf, err))
        return err->code;
    if (read_descriptor(path, out, err)) {
        core_image_close(out);
        return err->code;
    }
    return RC_OK;
}

void core_image_close(struct core_image *image)
{
    core_plugin_free(image->plugin);
    image->plugin = NULL;
    core_elf_close(&image->elf);
}
