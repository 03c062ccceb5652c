/*
 * Which folders hold the files of some locations, and which values of keys their names say. A
 * catalogue knows tables and partitions by folders, so folders are what a table is made of.
 */
#ifndef CORE_SQL_PRESTO_FOLDERS_H
#define CORE_SQL_PRESTO_FOLDERS_H

#include <base/arena.h>
#include <sql/format.h>
#include <sql/presto.h>

enum { CORE_PRESTO_KEYS = 8 };

/*
 * A folder with files in it, and not only in folders below, unless the server reads those with it.
 * Texts are the list's.
 */
struct core_presto_folder {
    const char *uri;         /* as the location is given; ends with '/' */
    size_t given_len;        /* bytes of it that the location says */
    enum core_format format; /* of its files */
    struct core_presto_key_value {
        const char *text; /* within 'uri' */
        size_t len;
    } values[CORE_PRESTO_KEYS]; /* one a partition of the table */
    /*
     * The folders of keys that 'uri' ends with: what is before them, and which partition each is
     * of.
     */
    size_t base_len;
    size_t key_count;
    unsigned char keys[CORE_PRESTO_KEYS];
};

struct core_presto_folders {
    struct core_arena arena;
    struct core_presto_folder *items;
    size_t count, capacity;
};

/* Bytes of the uri up to behind its first 'keys' folders of keys. */
size_t core_presto_folder_len(const struct core_presto_folder *folder, size_t keys);

/*
 * Those below the locations of a table, each once, by the order of what is before their keys, then
 * of keys, formats and URIs. Names that are no data are passed over. RC_INVALID: a key is missing
 * on the way to a file, or a name does not tell a format. RC_UNSUPPORTED: files of several formats
 * lie in one folder, or files that are CSV; with 'nested' also where one of the folders lies in
 * another whose files are other things.
 */
RC_MUST_CHECK enum rc_code core_presto_list_folders(struct core_storage *storage,
                                                    const struct rc_sql_table *table, bool nested,
                                                    struct core_presto_folders *out,
                                                    struct rc_error *err);
void core_presto_folders_clear(struct core_presto_folders *folders);

/* ---- presto_keys.c --------------------------------------------------------------------------- */

/* What the name of the folder stands for; NULL: for no value. */
const char *core_presto_key_decode(struct core_arena *arena,
                                   const struct core_presto_key_value *value);
/* The value as the column's type has it; NULL gives its NULL. */
void core_presto_key_add(const struct core_presto_dialect *dialect, struct rc_buf *out,
                         const struct rc_sql_column *column, const char *text);
/*
 * Whether a catalogue finds a partition by this value, or can be told of it: of those that make up
 * the folders from values each has to stand for itself.
 */
bool core_presto_key_is_plain(const struct core_presto_dialect *dialect,
                              const struct rc_sql_column *column,
                              const struct core_presto_key_value *value);
/* The values of a partition among some folders, each once; those that are NULL are left out. */
struct rc_strs core_presto_key_list(struct core_arena *arena,
                                    const struct core_presto_folder *folders, size_t folder_count,
                                    size_t partition);
/* A key for the catalogue. Of a text it is found here whether it holds days. */
void core_presto_key_describe(const struct rc_sql_column *column, struct rc_strs values,
                              struct core_presto_partition *out);

#endif
