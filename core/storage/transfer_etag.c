/*
 * The entity tags that S3 gives to objects uploaded in parts: the MD5 of the parts' MD5s, and how
 * many there were. The size of a part is in no tag, but hardly anybody takes another than a whole
 * number of MiB, and few of those give that number of parts.
 */
#include <storage/transfer_internal.h>

#include <run-core/str.h>

#include <ctype.h>

enum { MD5_HEX = 32, MIB = 1024 * 1024 };

bool core_transfer_is_md5(const char *etag)
{
    size_t len = 0;

    while (isxdigit((unsigned char)etag[len]))
        len++;
    return len == MD5_HEX && etag[len] == '\0';
}

/* The number of parts behind the MD5; 0: it is no such tag. */
static int64_t parts_of(const char *etag)
{
    int64_t parts;
    size_t len = 0;

    while (isxdigit((unsigned char)etag[len]))
        len++;
    if (len != MD5_HEX || etag[len] != '-' || !rc_parse_int(etag + len + 1, &parts) || parts < 1)
        return 0;
    return parts;
}

/* The rounder a size is, the likelier: how often it can be halved. */
static int roundness(int64_t mib)
{
    int halves = 0;

    while (mib % 2 == 0) {
        mib /= 2;
        halves++;
    }
    return halves;
}

int64_t core_transfer_etag_part_bytes(const char *etag, int64_t size_bytes)
{
    int64_t parts = parts_of(etag), best = 0;

    if (parts < 2 || size_bytes < parts)
        return 0;
    /* The least whole number of MiB that needs no more parts, and those above that need as many. */
    for (int64_t mib = ((size_bytes + parts - 1) / parts + MIB - 1) / MIB;
         (size_bytes + mib * MIB - 1) / (mib * MIB) == parts; mib++)
        if (best == 0 || roundness(mib) > roundness(best))
            best = mib;
    return best * MIB;
}

char *core_transfer_etag_join(const unsigned char (*md5s)[CORE_TRANSFER_MD5], size_t parts)
{
    unsigned char digest[CORE_DIGEST_BYTES];
    struct rc_buf etag = RC_BUF_INIT(RC_ETAG_TEXT);

    core_digest(CORE_MD5, md5s, parts * sizeof(*md5s), digest);
    core_add_hex(&etag, digest, CORE_TRANSFER_MD5);
    rc_buf_addf(&etag, "-%zu", parts);
    return rc_buf_take(&etag);
}
