/*
 * A small lake with users to erase, on the fake host, and what has to be true of it after a run
 * that died and after one that did not. For the tests that disturb the whole plugin.
 *
 * The expectation knows nothing of the plugin: it looks for texts in the bytes of the files, which
 * are plain and not compressed. So do the stand-ins for SQL engines, which count the users' ids in
 * the files that they are given, or in the objects of the lake.
 */
#ifndef TESTS_DSR_CRASH_WORLD_H
#define TESTS_DSR_CRASH_WORLD_H

#include <run-core/fake_host.h>

#define LAKE "s3://b/events/"
#define FILE_A LAKE "shard=7/day=2024-10-01/a.parquet"
#define MARKERS "s3://b/markers/"
#define ARCHIVE "s3://b/archive/"
#define BACKUPS "s3://b/kept/"

enum { ROWS = 8 };

/* A file is its ids; each row has a text of its own beside it, so that none stands for another. */
struct file {
    const char *uri;
    const char *ids[ROWS + 1];
    char letter;
    bool is_cleaned; /* in a shard and on a day that the markers tell of */
};

enum { FILES = 5, MARKED = 3 };
extern const struct file files[FILES]; /* the first is FILE_A; the last alone is of shard 8 */
extern const char *const markers[MARKED];

void put_file(struct rc_fake_host *host, const struct file *file);
/* Whether the object is what is expected of the file: whole, or without the users' rows. */
bool is_file(struct rc_fake_host *host, const struct file *file, bool is_clean);

/*
 * backupOriginal; a bucket with versions; delete_old_versions; several files at once, in threads,
 * and then only those of shard 7; an SQL engine that searches the lake instead of one that reads
 * files of this process.
 */
enum { KEEPS = 1, VERSIONS = 2, REMOVES = 4, THREADS = 8, ELSEWHERE = 16 };

struct rc_fake_host *new_world(unsigned flags);
/* A run; a hook that the test puts up has to call follow(). */
enum rc_code clean(struct rc_fake_host *host, unsigned flags, struct rc_error *err);
/* A run that has to succeed, whatever was there before. */
void finish(struct rc_fake_host *host, unsigned flags);
/* The next run, which is killed at its n-th host call; what it leaves is sound. */
void die(struct rc_fake_host *host, unsigned flags, int n, bool after);
/* The host calls of a run that nothing happens to. */
int undisturbed_calls(unsigned flags);

/* Tells the stand-in which shard the run is at. */
void follow(const char *service, const char *subject);
rc_fake_hook only_follow;
/* Rows that the stand-in claims to find beyond those that are there. */
extern int64_t engine_lies;

/* At any time: I2, I4 and I7 of README.md. */
void assert_sound(struct rc_fake_host *host);
void assert_no_names(struct rc_fake_host *host);
/* In the end: markers, archive, originals, uploads. */
void assert_tidy(struct rc_fake_host *host);
/* And the data. */
void assert_clean(struct rc_fake_host *host);
/* And the record, if nobody else wrote. */
void assert_record(struct rc_fake_host *host);
/* All of that: it is sound now, and after one more run clean, with its record. */
void assert_ends_well(struct rc_fake_host *host, unsigned flags);
int64_t recorded(struct rc_fake_host *host, const char *user, int shard);

#endif
