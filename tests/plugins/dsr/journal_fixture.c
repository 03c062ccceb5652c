/*
 * Opens journals, makes intents, and looks into the tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const usual[] = {
    "markersBaseFolder=s3://b/markers",
    "markersArchiveFolder=s3://b/archive",
    "cleanupTables[0].piTable=events",
    "cleanupTables[0].userIdColumn=id",
    "cleanupTables[0].sourceS3Folder=s3://b/events",
};

enum { SETTINGS_LIMIT = 24 };

static void open_journal(struct fixture *fixture)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(dsr_journal_open(fixture->job, &fixture->config, &fixture->places, &fixture->journal,
                               &err));
}

struct fixture *fixture_new(struct rc_fake_host *host, const char *const *settings)
{
    struct fixture *fixture = rc_calloc(1, sizeof(*fixture));
    const char *all[SETTINGS_LIMIT + 1] = { NULL };
    size_t count = 0;
    struct rc_error err = RC_ERROR_INIT;

    fixture->host = host ? host : rc_fake_host_new(NULL);
    fixture->job = rc_fake_host_job(fixture->host);
    for (size_t i = 0; i < RC_ARRAY_LEN(usual); i++)
        all[count++] = usual[i];
    for (; settings && *settings && count < SETTINGS_LIMIT; settings++)
        all[count++] = *settings;
    expect_ok(rc_fake_host_bind(fixture->host, dsr_options, &fixture->config, all, &err));
    expect_ok(dsr_places_make(&fixture->config, "/", &fixture->places, &err));
    open_journal(fixture);
    return fixture;
}

void fixture_free(struct fixture *fixture)
{
    dsr_journal_close(fixture->journal);
    dsr_places_clear(&fixture->places);
    rc_fake_host_free(fixture->host);
    free(fixture);
}

void fixture_next_run(struct fixture *fixture)
{
    dsr_journal_close(fixture->journal);
    rc_fake_host_revive(fixture->host);
    open_journal(fixture);
}

int64_t fixture_number(struct fixture *fixture, const char *query)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    expect_ok(rc_db_query(fixture->job, fixture->journal->db, query, NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_non_null(row);
    return row[0].integer;
}

void fixture_change(struct fixture *fixture, const char *statement)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(rc_db_exec(fixture->job, fixture->journal->db, statement, NULL, 0, NULL, &err));
}

struct pq_slice fixture_slice(const char *text)
{
    return (struct pq_slice){ (const uint8_t *)text, (uint32_t)strlen(text) };
}

struct dsr_intent fixture_intend(struct fixture *fixture, int32_t shard, const char *uri,
                                 const char *etag, const char *digest, const char *user,
                                 int64_t rows)
{
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_intent intent = {
        .shard = shard,
        .table = "events",
        .uri = uri,
        .old = { .size_bytes = 1000, .modified_unix_ms = 7 },
        .removes = digest == NULL,
        .new_bytes = 900,
        .rows_before = 50,
        .rows_erased = rows,
    };
    struct dsr_erased erased = { .rows = rows };

    (void)snprintf(intent.old.etag, sizeof(intent.old.etag), "%s", etag);
    (void)snprintf(intent.new_digest, sizeof(intent.new_digest), "%s", digest ? digest : "");
    dsr_journal_hash(fixture->journal, fixture_slice(user), erased.user);
    expect_ok(dsr_journal_intend(fixture->journal, &intent, &erased, 1, &err));
    return intent;
}

void fixture_fulfil(struct fixture *fixture, int32_t shard, const char *user)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct dsr_request request = { fixture_slice(user), 20000, 20005 };

    expect_ok(dsr_journal_fulfil(fixture->journal, shard, 20000, 20003, &request, 1, &err));
}
