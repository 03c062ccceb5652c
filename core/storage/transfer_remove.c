/*
 * Removals by batches: of sources whose copy is there, of what a list names, and of what a tree
 * has beyond its source. They are gathered a little, for a store removes many at once.
 */
#include <storage/transfer_internal.h>

#include <run-core/str.h>

#include <stdlib.h>

enum { LINGER_MS = 400 };

bool core_transfer_removals_due(const struct core_transfer *t, int64_t now_mono_ms)
{
    size_t count = t->doomed.count;

    if (count == 0)
        return false;
    return count >= TRANSFER_BATCH || (t->fed && count == t->outstanding) ||
           now_mono_ms - t->doomed_since_mono_ms >= LINGER_MS;
}

static const char *victim_of(const struct transfer_item *item)
{
    return item->source ? item->source : item->target;
}

struct transfer_item *core_transfer_removals_take(struct core_transfer *t)
{
    struct transfer_queue batch = { 0 };

    while (batch.count < TRANSFER_BATCH && t->doomed.first)
        core_transfer_push(&batch, core_transfer_pop(&t->doomed));
    return batch.first;
}

/* A batch of one store. */
struct removal {
    struct core_transfer *t;
    struct transfer_item **items;
    struct core_resolved *at;
    struct core_place_in_store *places;
    struct rc_error **errors; /* NULL: it is gone */
    size_t count;
};

static void note_failed(void *context, size_t index, const struct rc_error *err)
{
    struct removal *removal = context;

    free(removal->errors[index]);
    removal->errors[index] = rc_malloc(sizeof(*err));
    *removal->errors[index] = *err;
}

static void end_one(struct removal *removal, size_t index)
{
    struct transfer_item *item = removal->items[index];
    struct rc_error *err = removal->errors[index];

    if (err && item->act == RC_TRANSFER_COPY)
        rc_context(err, "copied to '%s', but the source stays", item->target);
    core_transfer_finish(removal->t, item, err);
    core_resolved_clear(&removal->at[index]);
    free(err);
    removal->errors[index] = NULL;
}

/* Ends all but those that are to be tried again, which move to the front. */
static void settle(struct removal *removal, bool again)
{
    size_t kept = 0;

    for (size_t i = 0; i < removal->count; i++) {
        struct rc_error *err = removal->errors[i];

        if (!again || !err || !rc_retryable(err->code)) {
            end_one(removal, i);
            continue;
        }
        free(err);
        removal->errors[i] = NULL;
        removal->items[kept] = removal->items[i];
        removal->at[kept] = removal->at[i];
        removal->places[kept++] = removal->places[i];
    }
    for (size_t i = kept; i < removal->count; i++)
        removal->at[i] = (struct core_resolved)CORE_RESOLVED_INIT;
    removal->count = kept;
}

/* Of those that the store passed over because the call itself failed, some may be gone. */
static void remove_all(struct removal *removal)
{
    const struct core_remove_report report = { .failed = note_failed, .context = removal };
    struct transfer_item tries = { .is_etag_given = true };

    while (removal->count > 0) {
        const struct core_storage_ops *ops = removal->at[0].ops;
        const struct rc_error *passing = NULL;
        struct rc_error err = RC_ERROR_INIT;
        bool failed = ops->remove(removal->places, removal->count, &report, &err);

        for (size_t i = 0; i < removal->count; i++) {
            if (failed && !removal->errors[i])
                note_failed(removal, i, &err);
            if (!passing && removal->errors[i] && rc_retryable(removal->errors[i]->code))
                passing = removal->errors[i];
        }
        settle(removal, passing && core_transfer_again(removal->t, &tries, passing));
    }
}

/* Adds an item if it lies in the same store and bucket as those before; else it is for later. */
static bool take_into(struct removal *removal, struct transfer_item *item)
{
    struct core_resolved *at = &removal->at[removal->count];
    struct rc_error err = RC_ERROR_INIT;

    if (core_resolve(&removal->t->storage, victim_of(item), at, &err)) {
        core_transfer_finish(removal->t, item, &err);
        return true;
    }
    if (removal->count > 0 &&
        (at->ops != removal->at[0].ops || at->place.settings != removal->at[0].place.settings ||
         !rc_str_eq(at->place.bucket, removal->at[0].place.bucket))) {
        core_resolved_clear(at);
        return false;
    }
    removal->places[removal->count] = at->place;
    /* Of a move, the source goes only if it is still what was copied. */
    if (item->act == RC_TRANSFER_COPY || item->is_etag_given)
        removal->places[removal->count].remove_if_match = item->etag;
    removal->items[removal->count++] = item;
    return true;
}

void core_transfer_remove(struct core_transfer *t, struct transfer_item *batch)
{
    struct removal removal = {
        .t = t,
        .items = rc_calloc(TRANSFER_BATCH, sizeof(*removal.items)),
        .at = rc_calloc(TRANSFER_BATCH + 1, sizeof(*removal.at)),
        .places = rc_calloc(TRANSFER_BATCH, sizeof(*removal.places)),
        .errors = rc_calloc(TRANSFER_BATCH, sizeof(*removal.errors)),
    };

    while (batch) {
        struct transfer_item *next = batch->next;

        if (take_into(&removal, batch))
            batch = next;
        else
            remove_all(&removal);
    }
    remove_all(&removal);
    free(removal.items);
    free(removal.at);
    free(removal.places);
    free(removal.errors);
}
