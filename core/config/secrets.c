/*
 * Remembers secret values and masks them in text. Knows nothing of where they come
 * from or where the text goes.
 */
#include <config/secrets.h>

#include <run-core/str.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SHORTEST = 4, MASK_LEN = sizeof(CORE_SECRET_MASK) - 1 };

struct secret {
    char *value;
    size_t len;
};

static const char blanks[] = " \t\r\n";

/*
 * Process-wide, as a value may reach any output. 'count' is read without the lock, so
 * that masking costs one load while there is no secret.
 */
static struct {
    pthread_rwlock_t lock;
    atomic_size_t count;
    struct secret *items; /* the longest first */
    size_t capacity;
    bool first_bytes[256]; /* with which a value begins */
} known = { .lock = PTHREAD_RWLOCK_INITIALIZER };

static void insert(const char *value, size_t len)
{
    size_t count = atomic_load(&known.count), at = 0;

    for (size_t i = 0; i < count; i++)
        if (known.items[i].len == len && memcmp(known.items[i].value, value, len) == 0)
            return;
    if (count == known.capacity) {
        known.capacity = known.capacity ? known.capacity * 2 : 8;
        known.items = rc_realloc(known.items, known.capacity * sizeof(*known.items));
    }
    while (at < count && known.items[at].len >= len)
        at++;
    memmove(known.items + at + 1, known.items + at, (count - at) * sizeof(*known.items));
    known.items[at] = (struct secret){ .value = rc_strndup(value, len), .len = len };
    known.first_bytes[(unsigned char)value[0]] = true;
    atomic_store(&known.count, count + 1);
}

static void add(const char *value, size_t len)
{
    if (len < SHORTEST)
        return;
    pthread_rwlock_wrlock(&known.lock);
    insert(value, len);
    pthread_rwlock_unlock(&known.lock);
}

static void add_user_password(const char *authority)
{
    size_t len = strcspn(authority, "/?#");
    const char *colon = memchr(authority, ':', len);
    const char *at = NULL;

    for (size_t i = 0; i < len; i++)
        if (authority[i] == '@')
            at = authority + i; /* the last one: people forget to encode it in passwords */
    /* They forget '/' as well: what should be a port is the beginning of the password then. */
    if (!at && colon && authority[0] != '[' &&
        strspn(colon + 1, "0123456789") < len - (size_t)(colon + 1 - authority))
        at = strrchr(authority, '@');
    if (at && colon && colon < at)
        add(colon + 1, (size_t)(at - colon - 1));
}

static bool names_password(const char *name, size_t len)
{
    static const char *const endings[] = { "password", "passwd", "token", "secret" };

    for (size_t i = 0; i < RC_ARRAY_LEN(endings); i++) {
        size_t ending = strlen(endings[i]);

        if (len >= ending && strncasecmp(name + len - ending, endings[i], ending) == 0)
            return true;
    }
    return false;
}

/* "name=value&...", as it stands behind a '?'. */
static void add_parameters(const char *query)
{
    while (*query) {
        size_t len = strcspn(query, "&");
        size_t name_len = strcspn(query, "=&");

        if (name_len < len && names_password(query, name_len))
            add(query + name_len + 1, len - name_len - 1);
        query += len + (query[len] == '&');
    }
}

/* The value of a setting, maybe in quotes, which begins at 'text'; returns its end. */
static const char *skip_value(const char *text, const char **start, size_t *len)
{
    bool quoted = *text == '\'';
    const char *end = quoted ? text + 1 : text;

    *start = end;
    while (*end && (quoted ? *end != '\'' : !strchr(blanks, *end)))
        end += end[0] == '\\' && end[1] ? 2 : 1;
    *len = (size_t)(end - *start);
    return quoted && *end ? end + 1 : end;
}

/* "host=db password=...", the other way to say where a PostgreSQL server is. */
static void add_settings(const char *text)
{
    for (;;) {
        const char *name = text + strspn(text, blanks), *value;
        size_t name_len = strspn(name, "abcdefghijklmnopqrstuvwxyz_"), len;

        text = name + name_len;
        text += strspn(text, blanks);
        if (name_len == 0 || *text != '=')
            return;
        text = skip_value(text + 1 + strspn(text + 1, blanks), &value, &len);
        if (names_password(name, name_len))
            add(value, len);
    }
}

void core_secret_add_url(const char *url)
{
    const char *authority = url ? strstr(url, "://") : NULL;
    const char *query = authority ? strchr(authority, '?') : NULL;

    if (authority)
        add_user_password(authority + 3);
    else if (url)
        add_settings(url);
    if (query)
        add_parameters(query + 1);
}

/*
 * Within a JSON string the value may look otherwise; a line may be masked before or after it is
 * quoted.
 */
static void add_quoted(const char *value)
{
    size_t len = strlen(value);
    RC_BUF_AUTO(quoted, 6 * len + 2); /* at most \uXXXX for each byte */

    rc_buf_add_json(&quoted, value, len);
    if (quoted.len > len + 2)
        add(quoted.data + 1, quoted.len - 2);
}

void core_secret_add(const char *value)
{
    if (!value)
        return;
    add(value, strlen(value));
    add_quoted(value);
    core_secret_add_url(value);
}

/* What stands where a text was cut, in our own errors and in those of others. */
static const char ellipsis[] = "...";
enum { ELLIPSIS_LEN = sizeof(ellipsis) - 1 };

static bool is_cut(const char *text, size_t len)
{
    return len >= ELLIPSIS_LEN && memcmp(text, ellipsis, ELLIPSIS_LEN) == 0;
}

/* How much of the secret's beginning stands at 'text', if the text was cut behind that; or 0. */
static size_t match_beginning(const struct secret *secret, const char *text, size_t len)
{
    size_t same = 0;

    while (same < len && same < secret->len && text[same] == secret->value[same])
        same++;
    return same >= SHORTEST && is_cut(text + same, len - same) ? same : 0;
}

/* How much of the secret's end stands at 'text', which was cut before that; or 0. */
static size_t match_end(const struct secret *secret, const char *text, size_t len)
{
    for (size_t from = 1; from + SHORTEST <= secret->len; from++) {
        size_t rest = secret->len - from;

        if (rest <= len && memcmp(secret->value + from, text, rest) == 0)
            return rest;
    }
    return 0;
}

/*
 * The length of the secret, or of what was left of one, that stands at 'at' in the text; or 0. The
 * caller holds the lock.
 */
static size_t match(const char *whole, size_t whole_len, size_t at)
{
    const char *text = whole + at;
    size_t len = whole_len - at, longest = 0;
    size_t count = atomic_load(&known.count);
    bool after_cut = at >= ELLIPSIS_LEN && is_cut(text - ELLIPSIS_LEN, ELLIPSIS_LEN);

    if (!known.first_bytes[(unsigned char)text[0]] && !after_cut)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (known.items[i].len <= len &&
            memcmp(known.items[i].value, text, known.items[i].len) == 0)
            return known.items[i].len;
    for (size_t i = 0; i < count; i++) {
        size_t beginning = match_beginning(&known.items[i], text, len);
        size_t end = after_cut ? match_end(&known.items[i], text, len) : 0;
        size_t part = beginning > end ? beginning : end;

        longest = part > longest ? part : longest;
    }
    return longest;
}

void core_secret_mask(char *text)
{
    size_t len, from = 0, to = 0;
    RC_STR_AUTO whole = NULL;

    if (atomic_load(&known.count) == 0)
        return;
    whole = rc_strdup(text);
    len = strlen(whole);
    pthread_rwlock_rdlock(&known.lock);
    while (from < len) {
        size_t secret = match(whole, len, from);

        if (secret == 0) {
            text[to++] = whole[from++];
            continue;
        }
        /* A shorter secret gets a shorter mask: the text must not grow. */
        for (size_t i = 0; i < secret && i < MASK_LEN; i++)
            text[to++] = CORE_SECRET_MASK[i];
        from += secret;
    }
    pthread_rwlock_unlock(&known.lock);
    text[to] = '\0';
}

void core_secret_add_masked(struct rc_buf *out, const char *text, size_t len)
{
    size_t from = 0, plain = 0; /* 'plain' is where the part begins that was not added yet */

    if (atomic_load(&known.count) == 0) {
        rc_buf_add(out, text, len);
        return;
    }
    pthread_rwlock_rdlock(&known.lock);
    while (from < len) {
        size_t secret = match(text, len, from);

        if (secret == 0) {
            from++;
            continue;
        }
        rc_buf_add(out, text + plain, from - plain);
        rc_buf_adds(out, CORE_SECRET_MASK);
        from += secret;
        plain = from;
    }
    pthread_rwlock_unlock(&known.lock);
    rc_buf_add(out, text + plain, len - plain);
}
