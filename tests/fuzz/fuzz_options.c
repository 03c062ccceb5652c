/*
 * Any document as the options of a plugin that has every type: it is bound, or there
 * is a mistake; what is bound keeps to its ranges and choices.
 */
#include <config/options.h>

#include <run-core/time.h>

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct window {
    const char *folder;
    int64_t days;
};

struct fields {
    const char *text, *url, *secret;
    bool flag;
    int64_t count, wait_ms, bytes;
    double ratio;
    int mode;
    int32_t day;
    struct rc_strs list;
    struct rc_map map;
    struct rc_objects windows;
};

static const char *const modes[] = { "daily", "total", NULL };

static const struct rc_option window_options[] = {
    { RC_STR("folder", struct window, folder), .flags = RC_OPT_REQUIRED, .help = "A folder." },
    { RC_INT("days", struct window, days), .def = "7", .min = 1, .max = 3650, .help = "Days." },
    { 0 },
};

static const struct rc_option options[] = {
    { RC_STR("text", struct fields, text), .flags = RC_OPT_REQUIRED, .help = "Text." },
    { RC_URL("url", struct fields, url), .help = "A URL." },
    { RC_STR("secret", struct fields, secret), .flags = RC_OPT_SECRET, .help = "A secret." },
    { RC_BOOL("flag", struct fields, flag), .def = "no", .help = "A flag." },
    { RC_INT("count", struct fields, count), .def = "3", .min = 1, .max = 9, .help = "A count." },
    { RC_MS("wait", struct fields, wait_ms), .def = "1s", .min = 100, .max = 3600000,
      .help = "A wait." },
    { RC_BYTES("bytes", struct fields, bytes), .def = "1KiB", .min = 0, .max = 1 << 30,
      .help = "A size." },
    { RC_FLOAT("ratio", struct fields, ratio), .def = "0.5", .min = 0, .max = 1,
      .help = "A ratio." },
    { RC_ENUM("mode", struct fields, mode, modes), .def = "daily", .help = "A mode." },
    { RC_DAY("day", struct fields, day), .help = "A day." },
    { RC_LIST("list", struct fields, list), .help = "A list.", .also = "tables" },
    { RC_MAP("map", struct fields, map), .help = "A map." },
    { RC_OBJECTS("windows", struct fields, windows, struct window, window_options),
      .help = "Windows." },
    { 0 },
};

static const struct core_option_table table = CORE_OPTION_TABLE(options);

static void check(const struct fields *f)
{
    RC_ASSERT(f->text && *f->text);
    RC_ASSERT(f->count >= 1 && f->count <= 9);
    RC_ASSERT(f->wait_ms >= 100 && f->wait_ms <= 3600000);
    RC_ASSERT(f->bytes >= 0 && f->bytes <= 1 << 30);
    RC_ASSERT(f->ratio >= 0 && f->ratio <= 1);
    RC_ASSERT(f->mode == 0 || f->mode == 1);
    for (size_t i = 0; i < f->list.len; i++)
        RC_ASSERT(f->list.items[i] != NULL);
    for (size_t i = 0; i < f->map.len; i++)
        RC_ASSERT(f->map.items[i].key && f->map.items[i].value);
    for (size_t i = 0; i < f->windows.len; i++) {
        const struct window *window = RC_OBJECT_AT(struct window, f->windows, i);

        RC_ASSERT(window->folder && *window->folder && window->days >= 1 && window->days <= 3650);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct core_place place = { .file = "plugin 'fuzz'" };
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_problems problems;
    struct fields fields = { 0 };

    /* Would read files, or gather secrets for as long as the process lives. */
    if (memmem(data, size, "file:", 5) || memmem(data, size, "secret", 6) ||
        memmem(data, size, "://", 3))
        return 0;
    core_problems_init(&problems);
    const struct core_node *layer =
        core_yaml_parse(&arena, "t.yaml", (const char *)data, size, &problems);

    if (layer) {
        core_options_bind(&table, &layer, 1, &place, &fields, &arena, &problems);
        core_options_check_keys(layer, &table, 1, "plugin 'fuzz'", &problems);
    }
    if (problems.count == 0)
        check(&fields);
    core_problems_sort(&problems);
    for (const struct core_problem *p = problems.first; p; p = p->next)
        RC_ASSERT(core_problem_text(&problems, p)[0] != '\0');
    core_problems_clear(&problems);
    core_arena_clear(&arena);
    return 0;
}
