/*
 * Collects the mistakes of a configuration. Printing them, and the exit status that
 * follows from them, are left to the command line.
 */
#include <config/problems.h>

#include <config/secrets.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 16384 };

void core_problems_init(struct core_problems *problems)
{
    *problems = (struct core_problems){ .arena = CORE_ARENA_INIT };
}

void core_problems_clear(struct core_problems *problems)
{
    core_arena_clear(&problems->arena);
    core_problems_init(problems);
}

static bool same_place(const struct core_place *a, const struct core_place *b)
{
    return a->line == b->line && a->column == b->column && rc_str_eq(a->file, b->file);
}

static bool is_known(const struct core_problems *problems, const struct core_place *place,
                     const char *message)
{
    for (const struct core_problem *p = problems->first; p; p = p->next)
        if (same_place(&p->place, place) && strcmp(p->message, message) == 0)
            return true;
    return false;
}

static void keep(struct core_problems *problems, const struct core_place *place,
                 const char *message)
{
    struct core_problem *problem = core_arena_alloc(&problems->arena, sizeof(*problem));

    problem->place = *place;
    problem->place.file = core_arena_strdup(&problems->arena, place->file);
    problem->message = core_arena_strdup(&problems->arena, message);
    if (!problems->last)
        problems->last = &problems->first;
    *problems->last = problem;
    problems->last = &problem->next;
    problems->count++;
}

void core_problem_add(struct core_problems *problems, const struct core_place *place,
                      const char *format, ...)
{
    RC_BUF_AUTO(message, MESSAGE_BYTES);
    va_list arguments;

    if (problems->count > CORE_PROBLEMS_MAX)
        return;
    if (problems->count == CORE_PROBLEMS_MAX) {
        keep(problems, &(struct core_place){ .file = place->file },
             "there are more mistakes, which are not shown; correct these first");
        return;
    }
    va_start(arguments, format);
    rc_buf_addv(&message, format, arguments);
    va_end(arguments);
    if (message.overflow) /* then the format alone: better than nothing */
        rc_buf_adds(&message, format);
    if (!is_known(problems, place, message.data))
        keep(problems, place, message.data);
}

struct sorted {
    struct core_problem *problem;
    size_t came; /* as qsort() is not stable */
};

static int compare(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    const struct core_place *p = &x->problem->place, *q = &y->problem->place;
    int order = 0;

    if ((p->line > 0) != (q->line > 0))
        return p->line > 0 ? -1 : 1;
    if (p->line > 0) {
        order = strcmp(p->file, q->file);
        if (order == 0)
            order = (p->line > q->line) - (p->line < q->line);
        if (order == 0)
            order = (p->column > q->column) - (p->column < q->column);
    }
    return order ? order : (x->came > y->came) - (x->came < y->came);
}

void core_problems_sort(struct core_problems *problems)
{
    struct sorted *all = rc_calloc(problems->count + 1, sizeof(*all));
    size_t count = 0;

    for (struct core_problem *p = problems->first; p; p = p->next, count++)
        all[count] = (struct sorted){ .problem = p, .came = count };
    qsort(all, count, sizeof(*all), compare);
    problems->first = NULL;
    problems->last = &problems->first;
    for (size_t i = 0; i < count; i++) {
        *problems->last = all[i].problem;
        problems->last = &all[i].problem->next;
    }
    *problems->last = NULL;
    free(all);
}

const char *core_place_text(const struct core_place *place, struct core_arena *arena)
{
    if (place->line > 0)
        return core_arena_strf(arena, "%s:%d:%d", place->file, place->line, place->column);
    return core_arena_strdup(arena, place->file);
}

const char *core_problem_text(struct core_problems *problems, const struct core_problem *problem)
{
    return core_arena_strf(&problems->arena, "%s: %s",
                           core_place_text(&problem->place, &problems->arena), problem->message);
}

const char *core_shown(const char *text, char out[CORE_SHOWN_TEXT])
{
    static const char more[] = "...";
    RC_STR_AUTO masked = rc_strdup(text); /* all of it: half a secret would not be found */
    size_t len, keep_bytes;

    core_secret_mask(masked);
    len = keep_bytes = strlen(masked);
    if (len >= CORE_SHOWN_TEXT) {
        keep_bytes = CORE_SHOWN_TEXT - sizeof(more);
        while (keep_bytes > 0 && ((unsigned char)masked[keep_bytes] & 0xC0) == 0x80)
            keep_bytes--; /* not in the middle of a character */
    }
    for (size_t i = 0; i < keep_bytes; i++)
        out[i] = (unsigned char)masked[i] < 0x20 || masked[i] == 0x7F ? '?' : masked[i];
    out[keep_bytes] = '\0';
    if (keep_bytes < len)
        memcpy(out + keep_bytes, more, sizeof(more));
    return out;
}
