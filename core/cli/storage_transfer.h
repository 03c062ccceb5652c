/*
 * The mover at the command line: flags to requests, what is told on the way, and the result.
 */
#ifndef CORE_CLI_STORAGE_TRANSFER_H
#define CORE_CLI_STORAGE_TRANSFER_H

#include <cli/storage.h>
#include <storage/transfer.h>

/* Of failures at the same moment the mover may take another for the first than was told first. */
enum { CORE_STORAGE_SAID = 16 };

enum { CORE_STORAGE_LEFT_OUT = CORE_LEFT_OUT_SPECIAL + 1 };

/* Any number of transfers with one result. */
struct core_storage_transfers {
    struct core_storage_command *command;
    const char *verb, *done; /* of what becomes of a source: "copy" and "copied" */
    unsigned flags;          /* enum rc_transfer_flag */
    enum rc_transfer_when when;
    struct rc_attributes attributes; /* as the flags say, if 'has_attributes' */
    bool has_attributes;
    int64_t width, bytes_per_s;
    int compare;         /* enum rc_transfer_compare */
    int64_t max_removed; /* as of struct rc_transfer */

    int64_t began_mono_ms;
    struct rc_transferred total;             /* of those that have ended */
    struct rc_error said[CORE_STORAGE_SAID]; /* the first failures, which were told */
    size_t said_count;
    bool copies_failed;                      /* so that nothing is removed */
    int64_t left_out[CORE_STORAGE_LEFT_OUT]; /* of local folders, by their kinds */
};

/* 'command' and what is to be done are set already. RC_INVALID: a flag makes no sense. */
RC_MUST_CHECK enum rc_code core_storage_transfers_open(struct core_storage_transfers *transfers,
                                                       struct rc_error *err);
/* All below a folder that is wanted; both end with a slash. 'target' NULL: it is removed. */
RC_MUST_CHECK enum rc_code core_storage_transfer_tree(struct core_storage_transfers *transfers,
                                                      const char *source, const char *target,
                                                      struct rc_error *err);
/* Items as of struct rc_transfer. */
typedef enum rc_code core_storage_next_fn(void *context, struct rc_transfer_item *item, bool *more,
                                          struct rc_error *err);
RC_MUST_CHECK enum rc_code core_storage_transfer_list(struct core_storage_transfers *transfers,
                                                      core_storage_next_fn *next, void *context,
                                                      struct rc_error *err);
/*
 * Writes the result, of success or failure ('code' and 'err'), and returns what the command ends
 * with.
 */
RC_MUST_CHECK enum rc_code core_storage_transfers_end(struct core_storage_transfers *transfers,
                                                      enum rc_code code, struct rc_error *err);

/* Tells of a failure, and keeps it for the result. */
void core_storage_say_failed(struct core_storage_transfers *transfers, const struct rc_error *err);
/* In a dry run: adds to the output what would be done. */
void core_storage_add_would(const struct core_storage_transfers *transfers,
                            enum rc_transfer_act act, const struct rc_transfer_item *item);

/* What these flags say of objects that are written. */
RC_MUST_CHECK enum rc_code core_storage_read_attributes(struct core_storage_command *command,
                                                        struct rc_attributes *out,
                                                        struct rc_error *err);

#endif
