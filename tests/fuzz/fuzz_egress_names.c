/*
 * Names and patterns of tables, layouts, and the keys that are made of them: whatever a database
 * calls its tables, an object stays directly below the folder of its run.
 */
#include <names.h>

#include <run-core/plugin.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_LIMIT = 1 << 20 };

static void check_names(const char *text)
{
    RC_CLEANUP(egress_names_clear) struct egress_names names;
    struct rc_error err = RC_ERROR_INIT;

    if (egress_names_read(&(struct rc_strs){ 1, &text }, &names, &err)) {
        RC_ASSERT(err.code == RC_INVALID && err.cause[0] != '\0' && !names.items);
        return;
    }
    for (size_t i = 0; i < names.count; i++) {
        const struct egress_name *name = &names.items[i];
        const char *schema = name->schema ? name->schema : "public";

        RC_ASSERT(name->table[0] != '\0' && (!name->schema || name->schema[0] != '\0'));
        /* A plain name fits itself. */
        RC_ASSERT(name->is_pattern || egress_name_fits(name, schema, name->table));
        (void)egress_name_fits(name, text, text);
    }
}

static void check_key(const struct egress_layout *layout, const char *table)
{
    RC_BUF_AUTO(key, KEY_LIMIT);
    size_t folder_len;

    egress_layout_key(layout, table, -1, ".csv.gz", &key);
    RC_ASSERT(!key.overflow && !strchr(key.data, '/'));
    rc_buf_reset(&key);
    egress_layout_key(layout, table, 0, ".csv.gz", &key);
    folder_len = strcspn(key.data, "/");
    RC_ASSERT(strcmp(key.data + folder_len, "/part-00000.csv.gz") == 0);
    rc_buf_truncate(&key, folder_len);
    RC_ASSERT(!rc_str_eq(key.data, ".") && !rc_str_eq(key.data, "..") &&
              !rc_str_eq(key.data, EGRESS_MANIFEST));
}

static void check_layout(const char *text)
{
    struct egress_layout layout;
    struct rc_error err = RC_ERROR_INIT;

    if (egress_layout_read(text, &layout, &err)) {
        RC_ASSERT(err.code == RC_INVALID && err.cause[0] != '\0');
        return;
    }
    RC_ASSERT(layout.folder_len < strlen(text));
    RC_ASSERT(layout.folder_len == 0 || text[layout.folder_len - 1] == '/');
    (void)egress_layout_fits(&layout, text);
    (void)egress_layout_fits(&layout, "2026-11-21/");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct egress_layout plain = { .path = "{date}/{table}",
                                         .folder_len = strlen("{date}/") };
    RC_STR_AUTO text = rc_malloc(size + 1);

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_names(text);
    check_layout(text);
    if (text[0] != '\0') /* no table is called so */
        check_key(&plain, text);
    return 0;
}
