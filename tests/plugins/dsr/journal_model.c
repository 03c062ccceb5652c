/*
 * The model's states, the steps that lead from one to the next, and what has to hold in each. Times
 * are not in it: what the journal leaves to the clock is what can_expire() and is_over() say.
 */
#include "journal_model.h"

#include <run-core/attr.h>

#include <stdlib.h>
#include <string.h>

enum { RUNS = 2, SLOTS = 3, REQUESTS = 2, COPIES = 2, NONE = 15 };

/* What the object is: with the user, somebody's other one with the user, or either without. */
enum content { OLD, OTHER, NEW, OTHER_NEW, CONTENTS };

enum step {
    IDLE,
    RECOVER, /* S1, and again behind S3 */
    SETTLE,
    LOAD, /* S2 */
    SEARCH,
    NOTE,
    COPY,
    INTEND,
    SEND,
    WAIT,
    LOOK,
    OWN_SETTLE,
    CHECK, /* S3 */
    FULFIL,
    ARCHIVE,
    UNMARK,
    DROP,
    FORGET,
    STEPS,
};

enum outcome { INTENDED, VOID, SUPERSEDED, DONE };

struct slot { /* an intent of the journal */
    uint8_t used, from, state, closed;
};

struct run {
    uint8_t step, slot, outcome, seen, looked, second, has_marker, mine, copy;
    uint8_t sure; /* slots of which nothing was under way any more when they were looked at */
};

struct copy { /* an original that is kept, by what the object is */
    uint8_t exists, note, own, in_flight;
};
enum { FORGOTTEN, NOTED, TOMBSTONE, EXPIRED };

struct state {
    uint8_t content, marker, archived, noted, lock, other_wrote, other_was_late, losses;
    uint8_t landed[2], done[2], superseded[2]; /* by what the object was before */
    struct slot slots[SLOTS];
    uint8_t requests[REQUESTS]; /* under way in the store: the slot, or NONE */
    struct copy copies[COPIES];
    struct run runs[RUNS];
};

struct graph {
    struct world world;
    struct state *states;
    size_t count, capacity;
    uint32_t *table; /* by hash; 0: empty, else 1 + index */
    size_t table_size;
    uint32_t *edges; /* pairs: from, to */
    size_t edge_count, edge_capacity;
    const char *violation;
    uint32_t current;
};

/* ---- the graph ------------------------------------------------------------------------------ */

static uint64_t hash_of(const struct state *state)
{
    const unsigned char *bytes = (const unsigned char *)state;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < sizeof(*state); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 29;
}

static void grow_table(struct graph *graph)
{
    graph->table_size = graph->table_size ? 4 * graph->table_size : 1 << 16;
    free(graph->table);
    graph->table = rc_calloc(graph->table_size, sizeof(*graph->table));
    for (size_t i = 0; i < graph->count; i++) {
        size_t at = hash_of(&graph->states[i]) & (graph->table_size - 1);

        while (graph->table[at])
            at = (at + 1) & (graph->table_size - 1);
        graph->table[at] = (uint32_t)i + 1;
    }
}

static uint32_t find_or_add(struct graph *graph, const struct state *state)
{
    size_t at;

    if (2 * graph->count >= graph->table_size)
        grow_table(graph);
    at = hash_of(state) & (graph->table_size - 1);
    for (; graph->table[at]; at = (at + 1) & (graph->table_size - 1))
        if (memcmp(&graph->states[graph->table[at] - 1], state, sizeof(*state)) == 0)
            return graph->table[at] - 1;
    if (graph->count == graph->capacity) {
        graph->capacity = graph->capacity ? 2 * graph->capacity : 1 << 14;
        graph->states = rc_realloc(graph->states, graph->capacity * sizeof(*graph->states));
    }
    graph->states[graph->count++] = *state;
    graph->table[at] = (uint32_t)graph->count;
    return (uint32_t)graph->count - 1;
}

static void violate(struct graph *graph, const char *what)
{
    if (!graph->violation)
        graph->violation = what;
}

/* ---- what is free again --------------------------------------------------------------------- */

static bool is_sent(const struct state *state, size_t slot)
{
    for (size_t i = 0; i < REQUESTS; i++)
        if (state->requests[i] == slot)
            return true;
    return false;
}

/* Longer ago than anybody takes to send a request, and the store to carry it out. */
static bool is_over(const struct state *state, size_t slot)
{
    for (size_t r = 0; r < RUNS; r++)
        if (state->runs[r].mine == slot)
            return false;
    return !is_sent(state, slot);
}

static bool is_referred(const struct state *state, size_t slot)
{
    if (is_sent(state, slot))
        return true;
    for (size_t i = 0; i < RUNS; i++)
        if (state->runs[i].mine == slot ||
            (state->runs[i].step == SETTLE && state->runs[i].slot == slot))
            return true;
    return false;
}

/* Whoever has looked at a row has not looked at this one. */
static void unlook(struct state *state, size_t slot)
{
    for (size_t r = 0; r < RUNS; r++) {
        state->runs[r].looked &= (uint8_t) ~(1 << slot);
        state->runs[r].sure &= (uint8_t) ~(1 << slot);
    }
}

/* Rows that nobody comes back to, and all but one of those that are alike. */
static void forget_slots(struct state *state)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &state->slots[i];
        bool is_alike = false;

        if (!slot->used || is_referred(state, i))
            continue;
        for (size_t k = 0; k < i && slot->state == VOID && !is_alike; k++) {
            is_alike = !is_referred(state, k) && memcmp(slot, &state->slots[k], sizeof(*slot)) == 0;
            if (is_alike)
                unlook(state, k);
        }
        if (slot->closed || slot->state >= SUPERSEDED || is_alike) {
            *slot = (struct slot){ 0 };
            unlook(state, i);
        }
    }
}

/* Which run is called the first makes no difference. */
static void sort_runs(struct state *state)
{
    struct run first = state->runs[0];

    if (memcmp(&first, &state->runs[1], sizeof(first)) >= 0)
        return;
    state->runs[0] = state->runs[1];
    state->runs[1] = first;
    state->lock = state->lock == NONE ? NONE : (uint8_t)(1 - state->lock);
}

static void emit(struct graph *graph, struct state state)
{
    uint32_t to;

    forget_slots(&state);
    if (graph->world.losses > 0)
        sort_runs(&state);
    to = find_or_add(graph, &state);
    if (graph->edge_count == graph->edge_capacity) {
        graph->edge_capacity = graph->edge_capacity ? 2 * graph->edge_capacity : 1 << 16;
        graph->edges = rc_realloc(graph->edges, 2 * graph->edge_capacity * sizeof(*graph->edges));
    }
    graph->edges[2 * graph->edge_count] = graph->current;
    graph->edges[2 * graph->edge_count++ + 1] = to;
}

/* ---- the store and the journal -------------------------------------------------------------- */

static bool is_dirty(uint8_t content)
{
    return content == OLD || content == OTHER;
}

/* The store carries out a write whose intent is in a slot. */
static void land(struct graph *graph, struct state *state, uint8_t slot, uint8_t from)
{
    if (state->content != from && graph->world.broken != WRITE_WITHOUT_CONDITION)
        return;
    if (state->content != from)
        violate(graph, "I1: an object was replaced that was not the one that was searched");
    if (slot == NONE || !state->slots[slot].used)
        violate(graph, "I1: an object was replaced that the journal does not know of");
    state->content = from == OLD ? NEW : OTHER_NEW;
    state->landed[from]++;
}

static enum outcome look(const struct state *state, uint8_t from)
{
    if (state->content == from)
        return VOID;
    return state->content == (from == OLD ? NEW : OTHER_NEW) ? DONE : SUPERSEDED;
}

static void settle(const struct graph *graph, struct state *state, struct slot *slot,
                   enum outcome outcome)
{
    if (outcome == DONE && graph->world.broken != COUNT_TWINS && slot->state != DONE &&
        state->done[slot->from])
        outcome = VOID;
    if (!slot->used || outcome <= slot->state)
        return;
    if (slot->state == SUPERSEDED)
        state->superseded[slot->from]--;
    if (outcome == SUPERSEDED)
        state->superseded[slot->from]++;
    if (outcome == DONE)
        state->done[slot->from]++;
    slot->state = (uint8_t)outcome;
}

/* ---- a run ---------------------------------------------------------------------------------- */

static void end_run(struct state *state, size_t r)
{
    if (state->lock == r)
        state->lock = NONE;
    state->runs[r] = (struct run){ .step = IDLE, .mine = NONE, .copy = NONE };
    for (size_t i = 0; i < COPIES; i++)
        state->copies[i].own = 0;
}

static void go(struct graph *graph, struct state state, size_t r, enum step step)
{
    state.runs[r].step = (uint8_t)step;
    emit(graph, state);
}

static void fail_run(struct graph *graph, struct state state, size_t r)
{
    end_run(&state, r);
    emit(graph, state);
}

static void step_recover(struct graph *graph, struct state state, size_t r)
{
    struct run *run = &state.runs[r];

    if (run->second && graph->world.broken == LOOK_ONCE) {
        go(graph, state, r, FULFIL);
        return;
    }
    for (uint8_t i = 0; i < SLOTS; i++) {
        const struct slot *slot = &state.slots[i];

        if (!slot->used || slot->closed || slot->state > VOID || run->looked & 1 << i)
            continue;
        run->looked |= (uint8_t)(1 << i);
        if (slot->state == INTENDED && graph->world.broken == LEAVE_INTENDED)
            continue;
        run->slot = i;
        if (run->second && !run->has_marker && is_over(&state, i))
            run->sure |= (uint8_t)(1 << i);
        run->outcome = (uint8_t)look(&state, slot->from);
        go(graph, state, r, SETTLE);
        return;
    }
    run->slot = run->outcome = run->looked = 0;
    go(graph, state, r, run->second ? FULFIL : LOAD);
}

static void step_settle(struct graph *graph, struct state state, size_t r)
{
    struct run *run = &state.runs[r];
    struct slot *slot = &state.slots[run->slot];

    if (slot->state != VOID || run->outcome == DONE)
        settle(graph, &state, slot, (enum outcome)run->outcome);
    run->slot = run->outcome = 0;
    go(graph, state, r, RECOVER);
}

static void step_search(struct graph *graph, struct state state, size_t r)
{
    struct run *run = &state.runs[r];
    const struct world *world = &graph->world;

    run->seen = state.content;
    if (!is_dirty(run->seen))
        go(graph, state, r, CHECK);
    else if (!world->keeps)
        go(graph, state, r, world->broken == SEND_BEFORE_INTENT ? SEND : INTEND);
    else
        go(graph, state, r, world->broken == COPY_BEFORE_NOTE ? COPY : NOTE);
}

/*
 * The same state of an object is kept under the same name, so that the note may be there already;
 * of one that another run has made, it stays open what is still under way.
 */
static void step_note(struct graph *graph, struct state state, size_t r)
{
    struct copy *copy = &state.copies[state.runs[r].seen];
    bool is_first = graph->world.broken == COPY_BEFORE_NOTE;

    copy->own = copy->note == FORGOTTEN || copy->own || graph->world.broken == TAKE_OVER_NOTES;
    copy->note = NOTED;
    go(graph, state, r, is_first ? INTEND : COPY);
}

static void step_copy(struct graph *graph, struct state state, size_t r)
{
    uint8_t seen = state.runs[r].seen;

    if (state.content != seen) {
        go(graph, state, r, SEARCH);
        return;
    }
    /* Killed here, the store may still do what it was asked to. */
    struct state killed = state;
    killed.copies[seen].in_flight = 1;
    fail_run(graph, killed, r);
    state.copies[seen].exists = 1;
    go(graph, state, r, graph->world.broken == COPY_BEFORE_NOTE ? NOTE : INTEND);
}

static void step_intend(struct graph *graph, struct state state, size_t r)
{
    struct run *run = &state.runs[r];

    if (state.lock != r) {
        fail_run(graph, state, r);
        return;
    }
    for (uint8_t i = 0; i < SLOTS; i++) {
        if (state.slots[i].used)
            continue;
        state.slots[i] = (struct slot){ .used = 1, .from = run->seen };
        run->mine = i;
        for (size_t k = 0; k < RUNS; k++)
            state.runs[k].sure &= (uint8_t) ~(1 << i);
        go(graph, state, r, SEND);
        return;
    }
}

static void step_send(struct graph *graph, struct state state, size_t r)
{
    const struct run *run = &state.runs[r];

    if (graph->world.broken == SEND_BEFORE_INTENT) {
        land(graph, &state, NONE, run->seen);
        fail_run(graph, state, r);
        return;
    }
    for (size_t i = 0; i < graph->world.requests; i++) {
        if (state.requests[i] != NONE)
            continue;
        state.requests[i] = run->mine;
        go(graph, state, r, WAIT);
        return;
    }
}

/*
 * The answer: that it was done; or one that says nothing, be it that none came, or that the host
 * has tried twice and the second try was refused. The request may then still be under way.
 */
static void step_wait(struct graph *graph, struct state state, size_t r)
{
    const uint8_t mine = state.runs[r].mine;

    for (size_t i = 0; i < REQUESTS; i++) {
        struct state answered = state;

        if (state.requests[i] != mine)
            continue;
        answered.requests[i] = NONE;
        land(graph, &answered, mine, state.slots[mine].from);
        if (memcmp(answered.landed, state.landed, sizeof(state.landed)) != 0) {
            struct state ok = answered;

            ok.runs[r].outcome = DONE;
            go(graph, ok, r, OWN_SETTLE);
        }
        go(graph, answered, r, LOOK);
    }
    go(graph, state, r, LOOK);
}

static void step_look(struct graph *graph, struct state state, size_t r)
{
    struct run *run = &state.runs[r];

    run->outcome = (uint8_t)look(&state, state.slots[run->mine].from);
    if (graph->world.broken == TRUST_NO_ANSWER)
        run->outcome = SUPERSEDED;
    go(graph, state, r, OWN_SETTLE);
}

static void step_own_settle(struct graph *graph, struct state state, size_t r)
{
    struct run *run = &state.runs[r];

    settle(graph, &state, &state.slots[run->mine], (enum outcome)run->outcome);
    run->mine = NONE;
    run->outcome = run->seen = 0;
    go(graph, state, r, SEARCH);
}

static void step_check(struct graph *graph, struct state state, size_t r)
{
    struct run *run = &state.runs[r];

    if (is_dirty(state.content)) {
        fail_run(graph, state, r);
        return;
    }
    run->seen = 0;
    run->second = 1;
    if (graph->world.broken == DROP_BEFORE_CHECK)
        run->second = 0;
    go(graph, state, r, RECOVER);
}

static void step_fulfil(struct graph *graph, struct state state, size_t r)
{
    const struct run *run = &state.runs[r];

    if (state.lock != r) {
        fail_run(graph, state, r);
        return;
    }
    for (size_t i = 0; i < SLOTS; i++)
        if (state.slots[i].used && !state.slots[i].closed && state.slots[i].state == INTENDED &&
            graph->world.broken != LEAVE_INTENDED) {
            fail_run(graph, state, r);
            return;
        }
    /* Where nothing was searched, what is void stays open until it was looked at late enough. */
    for (size_t i = 0; i < SLOTS; i++)
        state.slots[i].closed = state.slots[i].used && (run->has_marker || run->sure & 1 << i ||
                                                        graph->world.broken == CLOSE_AT_ONCE);
    state.noted |= run->has_marker;
    go(graph, state, r, run->has_marker ? ARCHIVE : DROP);
}

static void step_load(struct graph *graph, struct state state, size_t r)
{
    struct run *run = &state.runs[r];

    run->has_marker = state.marker;
    if (run->has_marker) {
        bool early = graph->world.broken == ARCHIVE_BEFORE_CHECK ||
                     graph->world.broken == ARCHIVE_BEFORE_NOTE;

        go(graph, state, r,
           early                                      ? ARCHIVE
           : graph->world.broken == DROP_BEFORE_CHECK ? DROP
                                                      : SEARCH);
        return;
    }
    run->second = 1;
    go(graph, state, r, RECOVER);
}

static void step_unmark(struct graph *graph, struct state state, size_t r)
{
    if (graph->world.broken == ARCHIVE_BEFORE_CHECK)
        state.noted = 1;
    state.marker = 0;
    go(graph, state, r, graph->world.broken == ARCHIVE_BEFORE_CHECK ? SEARCH : DROP);
}

/*
 * S6. What is gone is forgotten, but for what another run may still have been making when it was
 * removed.
 */
static void step_drop(struct graph *graph, struct state state, size_t r)
{
    for (uint8_t i = 0; i < COPIES; i++) {
        struct copy *copy = &state.copies[i];

        if (copy->note != NOTED && copy->note != EXPIRED)
            continue;
        if (copy->exists && !state.noted)
            violate(graph, "I5: an original was removed before its shard was verified");
        if (graph->world.broken == FORGET_BEFORE_REMOVAL)
            copy->note = FORGOTTEN;
        else
            copy->exists = 0;
        state.runs[r].copy = i;
        state.runs[r].outcome =
            copy->own || copy->note == EXPIRED || graph->world.broken == NO_TOMBSTONES;
        go(graph, state, r, FORGET);
        return;
    }
    if (graph->world.broken == DROP_BEFORE_CHECK && !state.runs[r].second) {
        state.runs[r].second = 1;
        go(graph, state, r, SEARCH);
        return;
    }
    fail_run(graph, state, r);
}

static void step_forget(struct graph *graph, struct state state, size_t r)
{
    struct copy *copy = &state.copies[state.runs[r].copy];
    bool is_certain = state.runs[r].outcome;

    if (graph->world.broken == FORGET_BEFORE_REMOVAL)
        copy->exists = 0;
    else
        copy->note = is_certain ? FORGOTTEN : TOMBSTONE;
    copy->own = 0;
    state.runs[r].copy = NONE;
    state.runs[r].outcome = 0;
    go(graph, state, r, DROP);
}

static void step_run(struct graph *graph, const struct state *state, size_t r)
{
    typedef void step_fn(struct graph *, struct state, size_t);
    static step_fn *const steps[STEPS] = {
        [RECOVER] = step_recover, [SETTLE] = step_settle,
        [LOAD] = step_load,       [SEARCH] = step_search,
        [NOTE] = step_note,       [COPY] = step_copy,
        [INTEND] = step_intend,   [SEND] = step_send,
        [WAIT] = step_wait,       [LOOK] = step_look,
        [CHECK] = step_check,     [FULFIL] = step_fulfil,
        [UNMARK] = step_unmark,   [DROP] = step_drop,
        [FORGET] = step_forget,   [OWN_SETTLE] = step_own_settle,
    };
    const struct run *run = &state->runs[r];
    struct state next = *state;

    if (run->step == IDLE) {
        if (state->lock != NONE)
            return;
        next.lock = (uint8_t)r;
        go(graph, next, r, RECOVER);
        return;
    }
    if (run->step == ARCHIVE) {
        next.archived = 1;
        go(graph, next, r, UNMARK);
    } else {
        steps[run->step](graph, next, r);
    }
    fail_run(graph, *state, r); /* killed before this step */
    if (state->lock == r && state->losses < graph->world.losses) {
        next = *state; /* its lease runs out, and it does not know */
        next.lock = NONE;
        next.losses++;
        emit(graph, next);
    }
}

/* ---- the rest of the world ------------------------------------------------------------------ */

/* What the journal takes for granted: after an hour nothing of a note is under way any more. */
static bool can_expire(const struct state *state, size_t i)
{
    const struct copy *copy = &state->copies[i];

    for (size_t r = 0; r < RUNS; r++)
        if (state->runs[r].step == COPY && state->runs[r].seen == i)
            return false;
    return copy->note == TOMBSTONE || (copy->note == NOTED && !copy->own);
}

static void step_store(struct graph *graph, const struct state *state)
{
    for (size_t i = 0; i < REQUESTS; i++) {
        struct state next = *state;

        if (state->requests[i] == NONE)
            continue;
        next.requests[i] = NONE; /* it never arrived */
        emit(graph, next);
        land(graph, &next, state->requests[i], state->slots[state->requests[i]].from);
        emit(graph, next);
    }
    for (size_t i = 0; i < COPIES; i++) {
        struct state next = *state;
        struct copy *copy = &next.copies[i];

        if (copy->in_flight) {
            copy->in_flight = 0;
            emit(graph, next);
            copy->exists = 1;
            emit(graph, next);
        } else if (can_expire(state, i)) {
            copy->note = EXPIRED;
            emit(graph, next);
        }
    }
}

static void step_other(struct graph *graph, const struct state *state)
{
    struct state next = *state;

    if (!graph->world.others || state->other_wrote)
        return;
    next.content = OTHER;
    next.other_wrote = 1;
    next.other_was_late = state->noted;
    for (size_t i = 0; i < RUNS; i++)
        next.other_was_late |= state->runs[i].second && state->runs[i].has_marker;
    emit(graph, next);
}

/* ---- what has to hold ----------------------------------------------------------------------- */

static bool is_quiet(const struct state *state)
{
    for (size_t i = 0; i < RUNS; i++)
        if (state->runs[i].step != IDLE)
            return false;
    for (size_t i = 0; i < REQUESTS; i++)
        if (state->requests[i] != NONE)
            return false;
    for (size_t i = 0; i < SLOTS; i++)
        if (state->slots[i].used)
            return false;
    return true;
}

static bool is_good_end(const struct state *state)
{
    for (size_t i = 0; i < COPIES; i++)
        if (state->copies[i].exists || state->copies[i].note || state->copies[i].in_flight)
            return false;
    return is_quiet(state) && !state->marker && state->archived && state->noted;
}

static void check(struct graph *graph, const struct state *state)
{
    if (!state->marker && !(state->archived && state->noted))
        violate(graph, "I4: a marker left its folder, and its request is not noted");
    if (!state->marker && is_dirty(state->content) && !state->other_was_late)
        violate(graph, "I4: a marker left its folder before the users were erased");
    for (size_t i = 0; i < COPIES; i++)
        if (state->copies[i].exists && !state->copies[i].note)
            violate(graph, "I5: an original is kept that the journal does not know of");
    for (size_t from = OLD; from <= OTHER; from++) {
        if (state->done[from] > state->landed[from])
            violate(graph, "I6: an erasure is in the record that never was, or twice");
        if (state->superseded[from] && !state->other_wrote)
            violate(graph, "I6: the record tells of somebody else where there was nobody");
        /* Done after it was looked at, and overwritten before it was looked at again. */
        if (is_quiet(state) && !state->marker && state->landed[from] &&
            state->done[from] + state->superseded[from] == 0 &&
            !(from == OLD && state->other_wrote))
            violate(graph, "I6: an erasure is not in the record");
    }
}

static struct state first_state(void)
{
    struct state state;

    memset(&state, 0, sizeof(state));
    state.content = OLD;
    state.marker = 1;
    state.lock = NONE;
    for (size_t i = 0; i < REQUESTS; i++)
        state.requests[i] = NONE;
    for (size_t i = 0; i < RUNS; i++)
        state.runs[i] = (struct run){ .step = IDLE, .mine = NONE, .copy = NONE };
    return state;
}

/* Whether a good end can be reached from every state, by going back along the edges. */
static void check_ends(struct graph *graph)
{
    bool *reaches = rc_calloc(graph->count, sizeof(*reaches));
    bool changes = true;

    for (size_t i = 0; i < graph->count; i++)
        reaches[i] = is_good_end(&graph->states[i]);
    while (changes) {
        changes = false;
        for (size_t i = graph->edge_count; i-- > 0;) {
            if (reaches[graph->edges[2 * i]] || !reaches[graph->edges[2 * i + 1]])
                continue;
            reaches[graph->edges[2 * i]] = true;
            changes = true;
        }
    }
    for (size_t i = 0; i < graph->count; i++)
        if (!reaches[i])
            violate(graph, "there is a state that no run brings to an end");
    free(reaches);
}

/* Breadth first. */
const char *explore(struct world world, size_t *states)
{
    struct graph graph = { .world = world };
    const struct state first = first_state();

    (void)find_or_add(&graph, &first);
    for (size_t i = 0; i < graph.count && !graph.violation; i++) {
        const struct state state = graph.states[i];

        graph.current = (uint32_t)i;
        check(&graph, &state);
        for (size_t r = 0; r < (world.losses > 0 ? RUNS : 1); r++)
            step_run(&graph, &state, r);
        step_store(&graph, &state);
        step_other(&graph, &state);
    }
    if (!graph.violation)
        check_ends(&graph);
    *states = graph.count;
    free(graph.states);
    free(graph.table);
    free(graph.edges);
    return graph.violation;
}
