/*
 * Daemons that do at random all that daemons do to one ledger, are killed at any moment, fall
 * silent, and do not learn what became of their commits. Triggers in the database watch every
 * change of a row; memory outside of it has what was really begun.
 */
#include <ledger_fixture.h>

#include <db/ledger_internal.h>

#include <run-core/str.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DAEMONS = 4, /* at a time; of a state of one machine, one */
    KILLS = 40,
    LEAST = 200, /* attempts that are to be begun */
    GENERATIONS = 5000,
    LIFE_US = 150000,
    JOBS = 3,
    ATTEMPTS = 3,
    HELD = 64, /* runs that a daemon minds */
    LINE = 48,
    LINES = 100000,
    LEASE_MS = 600000,
};

/* What processes share beside the database. */
struct world {
    atomic_int slots, generations;
    atomic_int present[DAEMONS];          /* generations */
    atomic_bool may_be_dead[GENERATIONS]; /* killed, or its lease was ended */
    atomic_int line_count;
    char lines[LINES][LINE]; /* "RUN ATTEMPT" of all that was begun */
};

static struct world *world;

/* A run that this daemon minds: started (with its latest attempt), or due. */
struct minded {
    char id[64];
    int64_t attempt;
    bool started;
};

static struct core_ledger *ledger;
static struct minded minded[HELD];
static size_t minded_count;
static unsigned seed;
static int generation, place; /* place: among the daemons that live at a time */

#define ok(call)                                                                                   \
    do {                                                                                           \
        if (call) {                                                                                \
            fprintf(stderr, "%s: %s: %s\n", #call, err.context, err.cause);                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static int dice(int sides)
{
    return (int)((unsigned)rand_r(&seed) % (unsigned)sides);
}

/* ---- what really happened ------------------------------------------------------------------- */

/* Stands for the fork of a guard. Who is killed in here has begun nothing. */
static void act(const char *id, int64_t attempt)
{
    int line = atomic_fetch_add(&world->line_count, 1);

    if (line >= LINES)
        _exit(1);
    (void)snprintf(world->lines[line], LINE, "%s %lld", id, (long long)attempt);
}

static int times_acted(const char *id, int64_t attempt)
{
    RC_STR_AUTO wanted = rc_strf("%s %lld", id, (long long)attempt);
    int times = 0;

    for (int i = 0; i < atomic_load(&world->line_count); i++)
        times += strncmp(world->lines[i], wanted, LINE) == 0;
    return times;
}

/* ---- transactions --------------------------------------------------------------------------- */

static int64_t value(const char *statement)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    expect_ok(core_session_query(ledger->session, statement, NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_non_null(row);
    return row[0].integer;
}

static void join(void)
{
    RC_STR_AUTO id = NULL;

    generation = atomic_fetch_add(&world->generations, 1);
    if (generation >= GENERATIONS)
        _exit(4);
    atomic_store(&world->present[place], generation);
    id = rc_strf("d%d", generation);
    if (!ledger) {
        ledger = ledger_join(id, "daemon", LEASE_MS);
    } else {
        struct rc_error err = RC_ERROR_INIT;

        ok(core_ledger_rejoin(ledger, id, &err));
    }
}

typedef enum rc_code step(void *context, struct rc_error *err);

/*
 * Does it, and does it again as often as nobody knows whether the commit took effect: sometimes it
 * did, and sometimes not.
 */
static enum rc_code transact(step *fn, void *context)
{
    struct rc_error err = RC_ERROR_INIT;

    for (;;) {
        int fate = dice(6);
        enum rc_code code = core_ledger_begin(ledger, &err);

        if (code == RC_CONFLICT) {
            join(); /* others took over */
            return RC_SKIPPED;
        }
        if (code == RC_OK)
            code = fn(context, &err);
        if (code != RC_OK && code != RC_CONFLICT && code != RC_SKIPPED && code != RC_CANCELLED)
            ok(code);
        if (fate == 0) {
            core_ledger_rollback(ledger);
            continue;
        }
        ok(core_ledger_commit(ledger, &err));
        if (fate > 1)
            return code;
    }
}

/* ---- what a daemon does --------------------------------------------------------------------- */

static void forget(size_t i)
{
    minded[i] = minded[--minded_count];
}

static void mind(const char *id, int64_t attempt, bool started)
{
    if (minded_count == HELD)
        _exit(2);
    (void)snprintf(minded[minded_count].id, sizeof(minded->id), "%s", id);
    minded[minded_count].attempt = attempt;
    minded[minded_count++].started = started;
}

struct claiming {
    struct core_claim claim;
    enum core_claimed claimed;
};

static enum rc_code do_claim(void *context, struct rc_error *err)
{
    struct claiming *claiming = context;

    return core_ledger_claim(ledger, &claiming->claim, &claiming->claimed, err);
}

static void claim(void)
{
    static int count;
    RC_STR_AUTO id = rc_strf("g%d-%d", generation, count++);
    RC_STR_AUTO job = rc_strf("job-%d", dice(JOBS));
    struct claiming claiming = {
        .claim = ledger_slot(id, atomic_fetch_add(&world->slots, dice(2)) / 4 - dice(3)),
    };

    if (minded_count > HELD / 2)
        return;
    claiming.claim.job = job;
    claiming.claim.overlap = (enum core_overlap_rule)dice(4);
    claiming.claim.may_start = dice(4) > 0;
    claiming.claim.force = dice(8) == 0;
    if (transact(do_claim, &claiming) != RC_OK)
        return;
    if (claiming.claimed == CORE_CLAIM_STARTED)
        act(id, 1);
    if (claiming.claimed == CORE_CLAIM_STARTED || claiming.claimed == CORE_CLAIM_WAITS)
        mind(id, claiming.claimed == CORE_CLAIM_STARTED, claiming.claimed == CORE_CLAIM_STARTED);
}

static enum rc_code do_start(void *context, struct rc_error *err)
{
    const struct minded *run = context;

    return core_ledger_start(ledger, run->id, CORE_OVERLAP_QUEUE, run->attempt + 1, T0, err);
}

static enum rc_code do_drop(void *context, struct rc_error *err)
{
    const struct minded *run = context;

    return core_ledger_drop(ledger, run->id, CORE_RUN_CANCELLED, "asked", T0, err);
}

static void start(size_t i)
{
    enum rc_code code = transact(do_start, &minded[i]);

    if (code == RC_OK) {
        act(minded[i].id, ++minded[i].attempt);
        minded[i].started = true;
    } else if (code == RC_CANCELLED) {
        code = transact(do_drop, &minded[i]);
        if (code == RC_OK || code == RC_CONFLICT)
            forget(i);
    } else if (code == RC_CONFLICT) {
        forget(i);
    }
}

struct ending {
    const struct minded *run;
    struct core_attempt_end end;
};

static enum rc_code do_finish(void *context, struct rc_error *err)
{
    const struct ending *ending = context;

    return core_ledger_finish(ledger, ending->run->id, ending->run->attempt, &ending->end, err);
}

static void finish(size_t i)
{
    static const enum core_run_status ends[] = { CORE_RUN_SUCCEEDED, CORE_RUN_FAILED,
                                                 CORE_RUN_LOST };
    struct ending ending = {
        .run = &minded[i],
        .end = { .status = ends[dice(3)], .exit_status = -1, .finished_unix_ms = T0 },
    };
    enum rc_code code;

    if (ending.end.status != CORE_RUN_SUCCEEDED && minded[i].attempt < ATTEMPTS)
        ending.end.retry_unix_ms = T0 + 1;
    code = transact(do_finish, &ending);
    /* That it ended already may be by this very call. */
    if (code == RC_OK && ending.end.retry_unix_ms)
        minded[i].started = false;
    else if (code == RC_OK || code == RC_CONFLICT)
        forget(i);
}

/* What has no evidence was never begun, and is begun now. */
static void take(void *context, const struct core_run_record *record)
{
    bool started = record->status == CORE_RUN_STARTED;
    size_t i = 0;

    (void)context;
    if (started && times_acted(record->id, record->attempt) == 0)
        act(record->id, record->attempt);
    while (i < minded_count && strcmp(minded[i].id, record->id) != 0)
        i++;
    if (i < minded_count)
        forget(i);
    if (minded_count < HELD)
        mind(record->id, record->attempt, started);
}

static void ignore(void *context, const struct core_run_record *record)
{
    (void)context;
    (void)record;
}

static enum rc_code do_take_over(void *context, struct rc_error *err)
{
    return core_ledger_take_over(ledger, T0, ignore, context, err);
}

/* Whose commit had no answer looks at what is its own. */
static void take_over(void)
{
    const struct rc_value params[] = { rc_value_text(ledger->self.id) };
    struct rc_error err = RC_ERROR_INIT;

    if (transact(do_take_over, NULL) == RC_OK)
        ok(core_ledger_each_run(ledger,
                                "SELECT " CORE_LEDGER_RUN_COLUMNS " FROM runs "
                                "WHERE executor = $1 AND " CORE_LEDGER_OPEN,
                                params, 1, take, NULL, &err));
}

static void cancel(void)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO id = rc_strf("g%d-%d", dice(atomic_load(&world->generations) + 1), dice(20));
    bool found;

    ok(core_ledger_cancel(ledger, id, "asked", &found, &err));
}

/* For others its lease has run out; it goes on under another name with what it has in hand. */
static void fall_silent(void)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value params[] = { rc_value_text(ledger->self.id) };

    atomic_store(&world->may_be_dead[generation], true);
    ok(core_ledger_exec(ledger, "UPDATE executors SET expires_unix_ms = 0 WHERE id = $1", params, 1,
                        NULL, &err));
    (void)usleep((useconds_t)dice(20000));
    /* Whoever was robbed gets no transaction; within one, nobody is. */
    if (core_ledger_begin(ledger, &err) == RC_OK) {
        if (value("SELECT count(*) FROM executors WHERE expires_unix_ms = 0") == 0)
            _exit(5);
        core_ledger_rollback(ledger);
    }
    if (core_ledger_renew(ledger, &err) == RC_CONFLICT)
        join();
}

static void live(void)
{
    take_over();
    for (;;) {
        int what = dice(40);
        size_t i = minded_count ? (size_t)dice((int)minded_count) : 0;

        if (what < 12)
            claim();
        else if (what < 34 && minded_count > 0)
            minded[i].started ? finish(i) : start(i);
        else if (what < 36)
            take_over();
        else if (what < 39)
            cancel();
        else if (place_is_postgres)
            fall_silent();
    }
}

/* A command beside the daemon of a state of one machine. */
static void command(void)
{
    struct rc_error err = RC_ERROR_INIT;

    ok(core_ledger_open_reader(place_url, &ledger, &err));
    for (;;)
        cancel();
}

static pid_t begin(int number)
{
    pid_t pid;

    place = number;
    seed = (unsigned)atomic_load(&world->generations) * DAEMONS + (unsigned)number;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        ledger = NULL;
        if (!place_is_postgres && number > 0)
            command();
        join();
        live();
    }
    return pid;
}

/* ---- watchers in the database --------------------------------------------------------------- */

#define FINAL                                                                                      \
    "OLD.status NOT IN ('due', 'started', 'lost') AND (NEW.status <> OLD.status OR "               \
    "NEW.attempt <> OLD.attempt OR NEW.executor <> OLD.executor)"
#define REVIVED "OLD.status = 'lost' AND NEW.status IN ('due', 'started', 'skipped')"
#define NUMBERED                                                                                   \
    "NEW.attempt <> OLD.attempt AND (NEW.attempt <> OLD.attempt + 1 OR OLD.status <> 'due' OR "    \
    "NEW.status <> 'started')"
#define RENUMBERED "OLD.status = 'due' AND NEW.status = 'started' AND NEW.attempt = OLD.attempt"
#define NOTE(what)                                                                                 \
    "INSERT INTO violations VALUES ('" what "', OLD.id || ' ' || OLD.status || ' ' || NEW.status)"
#define TAKEN "INSERT INTO takings VALUES (OLD.executor)"

static void place_watchers(void)
{
    static const char *const sqlite[] = {
        "CREATE TRIGGER a AFTER UPDATE ON runs WHEN " FINAL " BEGIN " NOTE("final") "; END",
        "CREATE TRIGGER b AFTER UPDATE ON runs WHEN " REVIVED " BEGIN " NOTE("revived") "; END",
        "CREATE TRIGGER c AFTER UPDATE ON runs WHEN " NUMBERED " BEGIN " NOTE("number") "; END",
        "CREATE TRIGGER d AFTER UPDATE ON runs WHEN " RENUMBERED " BEGIN " NOTE("twice") "; END",
        "CREATE TRIGGER e AFTER UPDATE ON runs WHEN NEW.executor <> OLD.executor "
        "BEGIN " TAKEN "; END",
    };
    static const char *const postgres[] = {
        "CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF " FINAL
        " THEN " NOTE("final") "; END IF; "
                               "IF " REVIVED " THEN " NOTE(
                                   "revived") "; END IF; "
                                              "IF " NUMBERED " THEN " NOTE(
                                                  "number") "; END IF; "
                                                            "IF " RENUMBERED " THEN " NOTE(
                                                                "twice") "; END IF; "
                                                                         "IF NEW.executor <> "
                                                                         "OLD.executor THEN " TAKEN
                                                                         "; END IF; "
                                                                         "RETURN NULL; END $$",
        "CREATE TRIGGER a AFTER UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION watch()",
    };

    place_tamper("CREATE TABLE violations (what TEXT, run TEXT)");
    place_tamper("CREATE TABLE takings (executor TEXT)");
    for (size_t i = 0; !place_is_postgres && i < RC_ARRAY_LEN(sqlite); i++)
        place_tamper(sqlite[i]);
    for (size_t i = 0; place_is_postgres && i < RC_ARRAY_LEN(postgres); i++)
        place_tamper(postgres[i]);
}

/* ---- the judgement -------------------------------------------------------------------------- */

static void each_attempt_was_begun_once(int kills)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;
    int64_t begun = 0;
    RC_ROWS_AUTO(rows);

    expect_ok(
        core_session_query(ledger->session, "SELECT id, attempt FROM runs", NULL, 0, &rows, &err));
    for (;;) {
        expect_ok(rc_rows_next(rows, &row, &err));
        if (!row)
            break;
        for (int64_t attempt = 1; attempt <= row[1].integer; attempt++, begun++)
            if (times_acted(row[0].text, attempt) != 1)
                fail_msg("attempt %d of %s was begun %d times", (int)attempt, row[0].text,
                         times_acted(row[0].text, attempt));
    }
    /* Lines of those who were killed while they wrote them stand there in vain. */
    assert_in_range(atomic_load(&world->line_count), begun, begun + kills + DAEMONS);
}

static void only_the_dead_were_robbed(void)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    expect_ok(core_session_query(ledger->session, "SELECT DISTINCT executor FROM takings", NULL, 0,
                                 &rows, &err));
    for (;;) {
        expect_ok(rc_rows_next(rows, &row, &err));
        if (!row)
            return;
        if (!atomic_load(&world->may_be_dead[strtol(row[0].text + 1, NULL, 10)]))
            fail_msg("%s was robbed while it lived", row[0].text);
    }
}

static void nothing_forbidden_was_written(void)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    expect_ok(core_session_query(ledger->session, "SELECT what, run FROM violations", NULL, 0,
                                 &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    if (row)
        fail_msg("%s: %s", row[0].text, row[1].text);
}

/* Stopped first, so that it is known by which name it dies. */
static void end(pid_t pid, int number)
{
    int status;

    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    atomic_store(&world->may_be_dead[atomic_load(&world->present[number])], true);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void whatever_daemons_do_the_rules_hold(void **state)
{
    pid_t pids[DAEMONS];
    int kills = 0;

    (void)state;
    seed = 1;
    world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(world != MAP_FAILED);
    core_ledger_close(ledger_join("first", "daemon", LEASE_MS));
    place_watchers();
    for (int i = 0; i < DAEMONS; i++)
        pids[i] = begin(i);
    /* On a slow machine they come to little before they die. */
    for (; kills < KILLS || atomic_load(&world->line_count) < LEAST; kills++) {
        int number = dice(DAEMONS);

        (void)usleep((useconds_t)dice(LIFE_US));
        end(pids[number], number);
        pids[number] = begin(number);
    }
    for (int i = 0; i < DAEMONS; i++)
        end(pids[i], i);

    ledger = NULL;
    minded_count = 0;
    join();
    take_over();
    each_attempt_was_begun_once(kills);
    only_the_dead_were_robbed();
    nothing_forbidden_was_written();
    assert_int_equal(value("SELECT count(*) FROM executors"), 1);
    assert_int_equal(value("SELECT count(*) FROM (SELECT DISTINCT job, slot_unix_ms FROM runs) x"),
                     value("SELECT count(*) FROM runs"));
    assert_true(value("SELECT count(*) FROM runs WHERE status = 'succeeded'") > 0);
    core_ledger_close(ledger);
    munmap(world, sizeof(*world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(whatever_daemons_do_the_rules_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
