/*
 * A ledger for tests; see the header.
 */
#include <ledger_fixture.h>

#include <os/process.h>
#include <run-core/str.h>

#include <stdio.h>
#include <string.h>

int ledger_on_sqlite(void **state)
{
    (void)state;
    return place_make(/* postgres = */ false);
}

int ledger_on_postgres(void **state)
{
    (void)state;
    return place_make(/* postgres = */ true);
}

int ledger_tear_down(void **state)
{
    (void)state;
    return place_clear();
}

struct core_ledger *ledger_join(const char *id, const char *kind, int64_t lease_ms)
{
    struct core_executor self = { .kind = kind, .spool = "/spool", .lease_ms = lease_ms };
    struct rc_error err = RC_ERROR_INIT;
    struct core_ledger *ledger;

    (void)snprintf(self.id, sizeof(self.id), "%s", id);
    core_process_self(&self.process);
    expect_ok(core_ledger_open(place_url, &self, &ledger, &err));
    return ledger;
}

struct core_claim ledger_slot(const char *id, int64_t slot_unix_ms)
{
    return (struct core_claim){
        .id = id,
        .job = "job",
        .plugin = "plugin",
        .action = "action",
        .trigger = "schedule",
        .has_slot = true,
        .slot_unix_ms = slot_unix_ms,
        .now_unix_ms = T0,
        .may_start = true,
        .overlap = CORE_OVERLAP_FORBID,
        .attempts = 3,
    };
}

enum core_claimed ledger_claim(struct core_ledger *ledger, const struct core_claim *claim)
{
    struct rc_error err = RC_ERROR_INIT;
    enum core_claimed claimed;

    expect_ok(core_ledger_begin(ledger, &err));
    expect_ok(core_ledger_claim(ledger, claim, &claimed, &err));
    expect_ok(core_ledger_commit(ledger, &err));
    return claimed;
}

enum rc_code ledger_start(struct core_ledger *ledger, const char *id,
                          enum core_overlap_rule overlap, int64_t attempt)
{
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;

    expect_ok(core_ledger_begin(ledger, &err));
    code = core_ledger_start(ledger, id, overlap, attempt, T0 + 10 * attempt, &err);
    expect_ok(core_ledger_commit(ledger, &err));
    return code;
}

enum rc_code ledger_finish(struct core_ledger *ledger, const char *id, int64_t attempt,
                           enum core_run_status status, int64_t retry_unix_ms)
{
    const struct core_attempt_end end = {
        .status = status,
        .reason = core_run_status_name(status),
        .message = "told by the worker",
        .counters = "{\"rows\":7}",
        .exit_status = status == CORE_RUN_SUCCEEDED ? 0 : 1,
        .finished_unix_ms = T0 + 10 * attempt + 5,
        .retry_unix_ms = retry_unix_ms,
    };
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;

    expect_ok(core_ledger_begin(ledger, &err));
    code = core_ledger_finish(ledger, id, attempt, &end, &err);
    expect_ok(core_ledger_commit(ledger, &err));
    return code;
}

struct listing {
    char *ids;
    size_t size;
    int count;
};

static void list(void *context, const struct core_run_record *record)
{
    struct listing *listing = context;
    size_t len = strlen(listing->ids);

    listing->count++;
    (void)snprintf(listing->ids + len, listing->size - len, "%s%s", len ? " " : "", record->id);
}

int ledger_take_over(struct core_ledger *ledger, char *ids, size_t size)
{
    struct listing listing = { .ids = ids, .size = size };
    struct rc_error err = RC_ERROR_INIT;

    ids[0] = '\0';
    expect_ok(core_ledger_begin(ledger, &err));
    expect_ok(core_ledger_take_over(ledger, T0 + 100, list, &listing, &err));
    expect_ok(core_ledger_commit(ledger, &err));
    return listing.count;
}

static void show(void *context, const struct core_run_record *record)
{
    (void)snprintf(context, 256, "%s %s %lld %s", core_run_status_name(record->status),
                   record->reason ? record->reason : "-", (long long)record->attempt,
                   record->executor);
}

const char *ledger_row(struct core_ledger *ledger, const char *id)
{
    static char text[256];
    struct rc_error err = RC_ERROR_INIT;

    if (core_ledger_run(ledger, id, show, text, &err))
        return rc_code_name(err.code);
    return text;
}

static void count(void *context, const struct core_run_record *record)
{
    (void)record;
    ++*(int64_t *)context;
}

int64_t ledger_count(struct core_ledger *ledger, const struct core_run_filter *filter)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows = 0;

    expect_ok(core_ledger_runs(ledger, filter, count, &rows, &err));
    return rows;
}
