/*
 * Digests against the examples of their standards, and the texts they travel as.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <os/digest.h>

#include <run-core/str.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void check_hex(const unsigned char *digest, size_t len, const char *want)
{
    RC_BUF_AUTO(hex, 100);

    core_add_hex(&hex, digest, len);
    assert_string_equal(hex.data, want);
}

static const char long_text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

/* RFC 1321 A.5, FIPS 180-2 A.1, B.1 and B.2. */
static const struct {
    enum core_digest_kind kind;
    const char *text, *hex;
} digests[] = {
    { CORE_MD5, "", "d41d8cd98f00b204e9800998ecf8427e" },
    { CORE_MD5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
    { CORE_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
    { CORE_SHA1, long_text, "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
    { CORE_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { CORE_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { CORE_SHA256, long_text, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

static void makes_digests(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(digests); i++) {
        unsigned char digest[CORE_DIGEST_BYTES];

        core_digest(digests[i].kind, digests[i].text, strlen(digests[i].text), digest);
        check_hex(digest, core_digest_len(digests[i].kind), digests[i].hex);
    }
}

static void goes_on_piece_by_piece(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(digests); i++) {
        struct core_running_digest *running = core_running_digest_new(digests[i].kind);
        unsigned char digest[CORE_DIGEST_BYTES];

        for (int round = 0; round < 2; round++) { /* it begins anew */
            for (const char *c = digests[i].text; *c; c++)
                core_running_digest_add(running, c, 1);
            core_running_digest_end(running, digest);
            check_hex(digest, core_digest_len(digests[i].kind), digests[i].hex);
        }
        core_running_digest_free(running);
    }
    core_running_digest_free(NULL);
}

/* RFC 4231: a short key, one of 20 bytes, and one that is longer than a block. */
static void makes_keyed_digests(void **state)
{
    unsigned char key[131], digest[CORE_DIGEST_BYTES];

    (void)state;
    core_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, digest);
    check_hex(digest, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0x0b, 20);
    core_hmac_sha256(key, 20, "Hi There", 8, digest);
    check_hex(digest, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    memset(key, 0xaa, sizeof(key));
    core_hmac_sha256(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First", 54,
                     digest);
    check_hex(digest, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    core_hmac_sha256(NULL, 0, "", 0, digest);
    check_hex(digest, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void compares(void **state)
{
    (void)state;
    assert_true(core_digest_equal("abcd", "abcd", 4));
    assert_true(core_digest_equal("abcd", "abcX", 3));
    assert_false(core_digest_equal("abcd", "abcX", 4));
}

/* RFC 3720 B.4, and the check value of the catalogues. */
static void sums_up(void **state)
{
    unsigned char data[32];
    uint32_t (*const ways[])(uint32_t, const void *, size_t) = { core_crc32c,
                                                                 core_crc32c_by_tables };

    (void)state;
    for (size_t way = 0; way < RC_ARRAY_LEN(ways); way++) {
        assert_int_equal(ways[way](0, "", 0), 0);
        assert_int_equal(ways[way](0, "123456789", 9), 0xe3069283);
        memset(data, 0, sizeof(data));
        assert_int_equal(ways[way](0, data, sizeof(data)), 0x8a9136aa);
        memset(data, 0xff, sizeof(data));
        assert_int_equal(ways[way](0, data, sizeof(data)), 0x62a8ab43);
        for (unsigned i = 0; i < sizeof(data); i++)
            data[i] = (unsigned char)i;
        assert_int_equal(ways[way](0, data, sizeof(data)), 0x46dd794e);
        /* In two parts of any length. */
        for (size_t cut = 0; cut <= sizeof(data); cut++)
            assert_int_equal(ways[way](ways[way](0, data, cut), data + cut, sizeof(data) - cut),
                             0x46dd794e);
    }
}

/* RFC 4648 section 10. */
static const char *const base64[][2] = {
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
    { "\x14\xfb\x9c\x03\xd9\x7e", "FPucA9l+" },
    { "\xff\xff\xfe", "///+" },
};

static void writes_and_reads_base64(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(base64); i++) {
        size_t len = strlen(base64[i][0]), padded = strlen(base64[i][1]);
        RC_BUF_AUTO(text, padded);
        RC_BUF_AUTO(back, 100);

        core_add_base64(&text, base64[i][0], len);
        assert_string_equal(text.data, base64[i][1]);
        rc_buf_adds(&back, "before:");
        assert_true(core_add_decoded_base64(&back, base64[i][1], padded));
        assert_int_equal(back.len, 7 + len);
        assert_memory_equal(back.data + 7, base64[i][0], len);
    }
}

static void writes_base64_for_urls(void **state)
{
    RC_BUF_AUTO(text, 11);

    (void)state;
    core_add_base64url(&text, "\xff\xff\xfe", 3);
    core_add_base64url(&text, "fo", 2);
    core_add_base64url(&text, "\xfb\xf0", 1);
    core_add_base64url(&text, "\xfb\xf0", 1);
    assert_string_equal(text.data, "___-Zm8-w-w");
    assert_false(text.overflow);
    core_add_base64url(&text, "x", 1);
    assert_true(text.overflow);
}

static void refuses_what_is_no_base64(void **state)
{
    static const char *const wrong[] = {
        "Z",    "Zg",   "Zg=",      "Zg===",    "====", "Z===", "Zm9v\n", "Zm9 ",      "Zg==Zg==",
        "Zh==", "Zm9=", "Zm9vZm8_", "Zm9v-m8=", "=m9v", "Zm=v", "Zm\0v",  "Z\xc3\xa9v"
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++) {
        RC_BUF_AUTO(out, 100);

        rc_buf_adds(&out, "before");
        assert_false(core_add_decoded_base64(&out, wrong[i], i == 15 ? 4 : strlen(wrong[i])));
        assert_string_equal(out.data, "before");
    }
}

static void *use_at_once(void *unused)
{
    unsigned char digest[CORE_DIGEST_BYTES];
    struct rc_error err = RC_ERROR_INIT;

    (void)unused;
    if (core_digest_load(&err))
        return "load";
    for (int i = 0; i < 1000; i++) {
        core_digest(CORE_SHA256, "abc", 3, digest);
        if (digest[0] != 0xba || core_crc32c(0, "123456789", 9) != 0xe3069283)
            return "digest";
    }
    return NULL;
}

static void serves_threads(void **state)
{
    pthread_t threads[8];

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_at_once, NULL), 0);
    for (size_t i = 0; i < RC_ARRAY_LEN(threads); i++) {
        void *wrong;

        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_threads), /* the first, so that they load it */
        cmocka_unit_test(makes_digests),
        cmocka_unit_test(goes_on_piece_by_piece),
        cmocka_unit_test(makes_keyed_digests),
        cmocka_unit_test(compares),
        cmocka_unit_test(sums_up),
        cmocka_unit_test(writes_and_reads_base64),
        cmocka_unit_test(writes_base64_for_urls),
        cmocka_unit_test(refuses_what_is_no_base64),
    };

    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
