/*
 * Names of markers: whatever somebody puts there, it is a marker that is made of its parts again,
 * or it is none and the reason is said; and what an id is as a number, written out, is that id.
 */
#include <markers.h>

#include <run-core/plugin.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_name(const char *name)
{
    struct rc_error err = RC_ERROR_INIT;
    struct pq_slice user;
    int32_t day, requested;
    char day_text[RC_DAY_TEXT], requested_text[RC_DAY_TEXT];

    if (dsr_marker_parse(name, &user, &day, &requested, &err)) {
        RC_ASSERT(err.code == RC_INVALID && err.cause[0] != '\0');
        return;
    }
    RC_ASSERT(user.len > 0);
    RC_STR_AUTO same =
        rc_strf("day=%s/_user_%.*s_day_%s", rc_format_day(day, day_text), (int)user.len,
                (const char *)user.data, rc_format_day(requested, requested_text));
    RC_ASSERT(strcmp(same, name) == 0);
}

/* A value that is found, written out, is the id. */
static void check_number(const struct dsr_users *users, const char *id, bool is_signed,
                         int32_t width)
{
    const struct pq_column column = {
        .path = "id",
        .type = width == 4 ? PQ_INT32 : PQ_INT64,
        .width = width,
        .order = is_signed ? PQ_ORDER_SIGNED : PQ_ORDER_UNSIGNED,
        .meaning = PQ_MEANS_INTEGER,
        .is_signed = is_signed,
    };
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_wanted *wanted;
    struct pq_slice value;
    uint64_t number = 0;
    char text[32];

    RC_ASSERT(dsr_wanted_new(users, &column, NULL, 0, 1, &wanted, &err) == RC_OK);
    const struct pq_wanted *ask = dsr_wanted_ask(wanted);
    if (ask->each(ask->context, 0, &value)) {
        for (uint32_t i = 0; i < value.len; i++)
            number |= (uint64_t)value.data[i] << (8 * i);
        if (!is_signed)
            snprintf(text, sizeof(text), "%" PRIu64, number);
        else if (width == 4)
            snprintf(text, sizeof(text), "%" PRId32, (int32_t)(uint32_t)number);
        else
            snprintf(text, sizeof(text), "%" PRId64, (int64_t)number);
        RC_ASSERT(strcmp(text, id) == 0);
        RC_ASSERT(ask->find(ask->context, value) == 0);
        RC_ASSERT(ask->any_between(ask->context, value, value));
    }
    dsr_wanted_free(wanted);
}

static void check_id(const char *id)
{
    struct dsr_users *users = dsr_users_new();
    struct rc_error err = RC_ERROR_INIT;

    RC_ASSERT(dsr_users_add(users, id, strlen(id), &err) == RC_OK);
    RC_ASSERT(dsr_users_freeze(users, &err) == RC_OK);
    for (int i = 0; i < 4; i++)
        check_number(users, id, i % 2 == 0, i < 2 ? 4 : 8);
    dsr_users_free(users);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_STR_AUTO text = rc_malloc(size + 1);

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_name(text);
    check_id(text);
    return 0;
}
