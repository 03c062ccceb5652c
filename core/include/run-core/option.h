/*
 * Option tables: the only source of parsing, defaults, ranges, error messages,
 * 'run-core describe' and the tables in the documentation.
 *
 * An entry names a field of the plugin's own struct. The core allocates that
 * struct, fills it from the table, keeps it unchanged during the run and frees it.
 * The macros below take a field only if it has the type of the option:
 *
 *     static const struct rc_option options[] = {
 *         { RC_STR("source", struct copy_config, source), .flags = RC_OPT_REQUIRED,
 *           .help = "URI of the object to copy." },
 *         { RC_MS("timeout", struct copy_config, timeout_ms), .def = "30s",
 *           .min = 100, .max = 3600000, .help = "Longest wait for one request." },
 *         { 0 },
 *     };
 *
 * A name with dots, as "sts.timeout", is what stands in a map, or in maps within it: a user may
 * write either. No name is then the beginning of another's, up to a dot.
 */
#ifndef RUN_CORE_OPTION_H
#define RUN_CORE_OPTION_H

#include <run-core/attr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rc_option_type {
    RC_OPT_STR = 1, /* const char *; NULL when absent and without default */
    RC_OPT_BOOL,    /* bool */
    RC_OPT_INT,     /* int64_t */
    RC_OPT_FLOAT,   /* double */
    RC_OPT_MS,      /* int64_t, a duration in milliseconds */
    RC_OPT_BYTES,   /* int64_t, a size in bytes */
    RC_OPT_ENUM,    /* int, the position in 'choices' */
    RC_OPT_URL,     /* const char *, has a scheme and "://" */
    RC_OPT_DAY,     /* int32_t as in time.h; RC_DAY_NONE when absent and without default */
    RC_OPT_LIST,    /* struct rc_strs; a single scalar counts as a list of one */
    RC_OPT_MAP,     /* struct rc_map; keys in the order of the file, each once */
    RC_OPT_OBJECTS, /* struct rc_objects; each item is filled from 'items' */
};

enum rc_option_flag {
    RC_OPT_REQUIRED = 1u << 0, /* absent or empty is a configuration error */
    RC_OPT_SECRET = 1u << 1, /* its value never leaves the process; masked wherever text goes out */
    RC_OPT_WHOLE = 1u << 2,  /* of RC_OPT_OBJECTS or RC_OPT_LIST, once in a table: a config_file or
                               config_url that holds a list in place of a map gives this option.
                               Since 1.5 */
    RC_OPT_ENGINE = 1u << 3, /* of RC_OPT_STR, once in a table: an SQL engine under 'sql', or a kind
                                of them; the only or the embedded one when absent. Since 1.7 */
};

struct rc_strs {
    size_t len;
    const char *const *items;
};

struct rc_pair {
    const char *key, *value;
};

struct rc_map {
    size_t len;
    const struct rc_pair *items;
};

/* 'items' is an array of the struct that the option's own table fills. */
struct rc_objects {
    size_t len;
    const void *items;
};

#define RC_OBJECT_AT(S, objects, i) (&((const S *)(objects).items)[i])

struct rc_option {
    const char *name;
    enum rc_option_type type;
    uint32_t flags;
    size_t offset;
    const char *def;               /* as a user would write it; NULL: absent */
    const char *env;               /* environment variable that may give it */
    const char *unit;              /* shown to people, such as "days" */
    int64_t min, max;              /* both 0: no range; for FLOAT in whole numbers */
    const char *const *choices;    /* ends with NULL */
    const struct rc_option *items; /* of RC_OPT_OBJECTS; ends with { 0 } */
    size_t item_size;
    const char *help; /* whole sentences */
    const char *also; /* a second name that is accepted, such as that of an older system */
};

#ifdef __cplusplus
template <typename Have, typename Want> struct rc_field_has_type;
template <typename Type> struct rc_field_has_type<Type, Type> {
    static constexpr size_t zero = 0;
};
#define RC_FIELD(S, m, T) (rc_field_has_type<decltype(S::m), T>::zero + offsetof(S, m))
#else
#define RC_FIELD(S, m, T) _Generic(((S *)0)->m, T : offsetof(S, m))
#endif

#define RC_OPTION_(key, kind, S, m, T) .name = key, .type = kind, .offset = RC_FIELD(S, m, T)

#define RC_STR(key, S, m) RC_OPTION_(key, RC_OPT_STR, S, m, const char *)
#define RC_BOOL(key, S, m) RC_OPTION_(key, RC_OPT_BOOL, S, m, bool)
#define RC_INT(key, S, m) RC_OPTION_(key, RC_OPT_INT, S, m, int64_t)
#define RC_FLOAT(key, S, m) RC_OPTION_(key, RC_OPT_FLOAT, S, m, double)
#define RC_MS(key, S, m) RC_OPTION_(key, RC_OPT_MS, S, m, int64_t)
#define RC_BYTES(key, S, m) RC_OPTION_(key, RC_OPT_BYTES, S, m, int64_t)
#define RC_ENUM(key, S, m, names) RC_OPTION_(key, RC_OPT_ENUM, S, m, int), .choices = names
#define RC_URL(key, S, m) RC_OPTION_(key, RC_OPT_URL, S, m, const char *)
#define RC_DAY(key, S, m) RC_OPTION_(key, RC_OPT_DAY, S, m, int32_t)
#define RC_LIST(key, S, m) RC_OPTION_(key, RC_OPT_LIST, S, m, struct rc_strs)
#define RC_MAP(key, S, m) RC_OPTION_(key, RC_OPT_MAP, S, m, struct rc_map)
#define RC_OBJECTS(key, S, m, item, table)                                                         \
    RC_OPTION_(key, RC_OPT_OBJECTS, S, m, struct rc_objects), .items = table,                      \
                                                              .item_size = sizeof(item)

#endif
