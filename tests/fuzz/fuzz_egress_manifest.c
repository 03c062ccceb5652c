/*
 * Manifests of egress, as anybody who can write into a bucket may leave them. Whatever is accepted
 * names only objects below its folder, has sums that hold, and is printed and parsed without a
 * difference.
 */
#include <manifest.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 16 << 20 };

static void check_key(const char *key)
{
    RC_STR_AUTO framed = rc_strf("/%s/", key);

    RC_ASSERT(key[0] != '\0' && !strstr(framed, "/../") && !strstr(framed, "/./"));
    RC_ASSERT(!strstr(framed, "//"));
}

static void check_sums(const struct egress_manifest *manifest)
{
    int64_t rows = 0, bytes = 0, stored_bytes = 0;

    for (size_t i = 0; i < manifest->table_count; i++) {
        const struct egress_manifest_table *table = &manifest->tables[i];

        RC_ASSERT(!manifest->complete || !table->error);
        for (size_t j = 0; j < table->object_count; j++) {
            check_key(table->objects[j].key);
            /* Overflows would be reported here. */
            rows += table->objects[j].rows;
            bytes += table->objects[j].bytes;
            stored_bytes += table->objects[j].stored_bytes;
        }
    }
    RC_ASSERT(rows >= 0 && bytes >= 0 && stored_bytes >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_CLEANUP(egress_manifest_clear) struct egress_manifest first, second;
    RC_BUF_AUTO(once, TEXT_LIMIT);
    RC_BUF_AUTO(twice, TEXT_LIMIT);
    struct rc_error err = RC_ERROR_INIT;

    memset(&second, 0, sizeof(second));
    if (egress_manifest_parse((const char *)data, size, &first, &err)) {
        RC_ASSERT(err.code == RC_CORRUPT && err.cause[0] != '\0' && !first.tables);
        return 0;
    }
    check_sums(&first);
    if (egress_manifest_print(&first, &once, &err))
        return 0;
    RC_ASSERT(egress_manifest_parse(once.data, once.len, &second, &err) == RC_OK);
    RC_ASSERT(egress_manifest_print(&second, &twice, &err) == RC_OK);
    RC_ASSERT(strcmp(once.data, twice.data) == 0);
    return 0;
}
