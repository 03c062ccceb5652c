/*
 * CRC-32C, the checksum of Google's storage: with the processor's own instruction where it has
 * one, else by tables that take eight bytes a step.
 */
#include <os/digest.h>

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL UINT32_C(0x82f63b78) /* of Castagnoli, its bits in reverse */

/* tables[n][b]: what the byte b does to a sum that is 'n' bytes further on. */
static uint32_t tables[8][256];
static uint32_t (*sum_up)(uint32_t crc, const unsigned char *data, size_t len);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        tables[0][byte] = crc;
    }
    for (int n = 1; n < 8; n++)
        for (uint32_t byte = 0; byte < 256; byte++)
            tables[n][byte] = tables[n - 1][byte] >> 8 ^ tables[0][tables[n - 1][byte] & 255];
}

static uint32_t by_tables(uint32_t crc, const unsigned char *data, size_t len)
{
    for (; len >= 8; data += 8, len -= 8) {
        crc ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
               (uint32_t)data[3] << 24;
        crc = tables[7][crc & 255] ^ tables[6][crc >> 8 & 255] ^ tables[5][crc >> 16 & 255] ^
              tables[4][crc >> 24] ^ tables[3][data[4]] ^ tables[2][data[5]] ^ tables[1][data[6]] ^
              tables[0][data[7]];
    }
    while (len-- > 0)
        crc = crc >> 8 ^ tables[0][(crc ^ *data++) & 255];
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t crc, const unsigned char *data, size_t len)
{
    uint64_t wide = crc;

    for (; len >= 8; data += 8, len -= 8) {
        uint64_t word;

        memcpy(&word, data, sizeof(word));
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    while (len-- > 0)
        crc = __builtin_ia32_crc32qi(crc, *data++);
    return crc;
}
#endif

static void choose(void)
{
    fill_tables();
    sum_up = by_tables;
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        sum_up = by_instruction;
#endif
}

uint32_t core_crc32c(uint32_t crc, const void *data, size_t len)
{
    (void)pthread_once(&once, choose);
    return ~sum_up(~crc, data, len);
}

uint32_t core_crc32c_by_tables(uint32_t crc, const void *data, size_t len)
{
    (void)pthread_once(&once, choose);
    return ~by_tables(~crc, data, len);
}
