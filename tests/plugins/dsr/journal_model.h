/*
 * A model of the journal: one object, its store, the journal, a marker, the originals that are
 * kept, another writer, and runs that may be killed between any two steps, lose their lease, get no
 * answer, or have a request carried out long after they are dead.
 */
#ifndef TESTS_DSR_JOURNAL_MODEL_H
#define TESTS_DSR_JOURNAL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A rule of README.md that is broken. */
enum rule {
    ALL_RULES,
    ARCHIVE_BEFORE_CHECK,
    ARCHIVE_BEFORE_NOTE,
    SEND_BEFORE_INTENT,
    WRITE_WITHOUT_CONDITION,
    FORGET_BEFORE_REMOVAL,
    COPY_BEFORE_NOTE,
    TAKE_OVER_NOTES,
    DROP_BEFORE_CHECK,
    NO_TOMBSTONES,
    LOOK_ONCE,
    COUNT_TWINS,
    LEAVE_INTENDED,
    TRUST_NO_ANSWER,
    CLOSE_AT_ONCE,
    RULES,
};

/* What may happen. Leases are lost only if there are two runs, and the other way round. */
struct world {
    bool keeps, others;
    uint8_t requests; /* that can be under way at once */
    uint8_t losses;   /* of leases, in all */
    enum rule broken;
};

/*
 * Looks at every state that can be reached: whether I1 and I4 to I6 of README.md hold in it, and
 * whether it can still be brought to a good end. Says what does not hold, or NULL; *states is how
 * many there are.
 */
const char *explore(struct world world, size_t *states);

#endif
