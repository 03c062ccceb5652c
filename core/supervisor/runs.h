/*
 * The runs that have not ended: those that wait and those that go on, found by id, by job, and by
 * what they wait for. The ledger has the truth; this is what the daemon needs of it at hand.
 */
#ifndef CORE_SUPERVISOR_RUNS_H
#define CORE_SUPERVISOR_RUNS_H

#include <db/ledger.h>
#include <runtime/attempt.h>
#include <supervisor/heap.h>
#include <supervisor/jobs.h>
#include <supervisor/pace.h>

enum core_active_state {
    CORE_ACTIVE_WAITS,   /* the row is due */
    CORE_ACTIVE_CLAIMED, /* started in the ledger, but its guard could not be forked yet */
    CORE_ACTIVE_RUNS,
    CORE_ACTIVE_ENDED, /* 'result' says how; the ledger does not know yet */
};

/* What becomes true of a run when the present transaction is committed (turn.c). */
enum core_planned {
    CORE_PLAN_NONE,
    CORE_PLAN_ADD,    /* a new row, due or started, is ours */
    CORE_PLAN_START,  /* a due row has become started */
    CORE_PLAN_END,    /* the end of an attempt, or of a run that never ran, is written */
    CORE_PLAN_FORGET, /* the row is another's, or has ended: nothing more to do here */
};

struct core_active {
    char id[CORE_RUN_ID_TEXT];
    struct core_job_state *job;          /* NULL: it is no longer configured */
    struct core_active *earlier, *later; /* of the job */
    struct core_active *next_in_index;

    char *job_name, *trigger, *set; /* set: JSON object or NULL */
    bool has_slot, force;
    bool made_up; /* of a missed slot, so its lateness is no news */
    enum core_overlap_rule overlap;
    int64_t slot_unix_ms, due_unix_ms, not_before_unix_ms;
    int64_t attempt, attempts; /* the latest, and the most */
    int64_t claimed_mono_ms;   /* when the claim of that attempt began; 0: by another daemon */

    enum core_active_state state;
    struct core_heap_item place; /* while it waits: by its turn, or by the time of its attempt */
    const char *stop; /* why it is to be stopped ("cancelled", "replaced", "shutdown"), or NULL */

    struct core_attempt tried;     /* RUNS, ENDED */
    bool adopted;                  /* began under another daemon */
    char *unsure_folder;           /* CLAIMED: of an attempt that may have been forked; or NULL */
    bool is_here;                  /* where that was, if it was: on this machine */
    struct core_watch *watch;      /* of its end */
    struct core_supervisor *owner; /* for the watch */
    struct core_attempt_result result;

    bool is_listed; /* in the list of those with something to write */
    struct core_active *next_listed;
    struct core_active *next_planned; /* in the turn's plan */
    enum core_planned plan;
};

struct core_runs {
    struct core_active **index;
    size_t index_size, count;
    struct core_heap ready; /* may start: the oldest slot first */
    struct core_heap later; /* wait for a time */
    struct core_active *to_write, **to_write_last;
    int64_t workers, waiting, claimed; /* by state; workers: also those that have just ended */
    struct core_pace pace;
};

void core_runs_init(struct core_runs *runs);
void core_runs_clear(struct core_runs *runs);

/* Not yet in the table. */
struct core_active *core_active_new(const char *id, const char *job_name);
/* Lets go of its attempt without a word to it. */
void core_active_free(struct core_active *active);

/* Puts it into the table with its present state, behind the job's others of older slots. */
void core_runs_add(struct core_runs *runs, struct core_job_state *job, struct core_active *active);
/* Makes one in the table that has no job a run of that one. */
void core_runs_join(struct core_job_state *job, struct core_active *active);
/* Takes it out and frees it. */
void core_runs_remove(struct core_runs *runs, struct core_active *active);
struct core_active *core_runs_find(const struct core_runs *runs, const char *id);

void core_runs_set_state(struct core_runs *runs, struct core_active *active,
                         enum core_active_state state);

/*
 * Puts what waits where it belongs at that time: among the ready, among the later, or nowhere,
 * while another run of its job goes on or is older.
 */
void core_runs_place(struct core_runs *runs, struct core_active *active, int64_t now_unix_ms);
/* The same for the job's oldest run that waits. */
void core_runs_wake(struct core_runs *runs, struct core_job_state *job, int64_t now_unix_ms);

/* Lists it among those with something to write, once. */
void core_runs_list(struct core_runs *runs, struct core_active *active);
/* The first of those, taken from the list; or NULL. */
struct core_active *core_runs_unlist(struct core_runs *runs);

/* Calls back for each; the callback may not add or remove. */
void core_runs_each(const struct core_runs *runs, void (*fn)(void *, struct core_active *),
                    void *context);

#endif
