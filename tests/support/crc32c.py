"""CRC-32C in nothing but Python, at some 200 MB/s: a block is one large integer, and its half with
the higher powers is folded onto the other by shifts, until a few bytes are left for the table."""

POLYNOMIAL = 0x82F63B78  # bits reversed: the lowest bit has the highest power
BLOCK_BYTES = 64 << 10


def make_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


TABLE = make_table()
PLANS = {}


def product(a, b):
    """a times b modulo the polynomial; bit 31 is the power 0."""
    result = 0
    for power in range(32):
        if b >> (31 - power) & 1:
            result ^= a
        a = (a >> 1) ^ (POLYNOMIAL if a & 1 else 0)
    return result


def power_of_x(exponent):
    result, square = 1 << 31, 1 << 30
    while exponent:
        if exponent & 1:
            result = product(result, square)
        square = product(square, square)
        exponent >>= 1
    return result


def plan(bits):
    """The folds that bring so many bits down to a few: (high bits, width after it, shifts)."""
    folds = []
    while bits > 128:
        low = (bits // 2 + 31) // 32 * 32
        high = bits - low
        width = max(low, high + 32)
        factor = power_of_x(low)
        shifts = [width - high - power for power in range(32) if factor >> (31 - power) & 1]
        folds.append((high, width, shifts, width - low))
        bits = width
    return folds, bits


def add_block(crc, block):
    bits = len(block) * 8
    value = int.from_bytes(block, "little") ^ crc
    if bits > 128:
        if bits not in PLANS:
            if len(PLANS) > 1000:
                PLANS.clear()
            PLANS[bits] = plan(bits)
        folds, bits = PLANS[bits]
        for high_bits, width, shifts, room in folds:
            high = value & ((1 << high_bits) - 1)
            value = value >> high_bits << room
            for shift in shifts:
                value ^= high << shift
        crc, block = 0, value.to_bytes(bits // 8, "little")
    for byte in block:
        crc = TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc


def crc32c(data, crc=0):
    """The checksum of 'data', which may go on from that of what is before it."""
    crc ^= 0xFFFFFFFF
    view = memoryview(data)
    for start in range(0, len(view), BLOCK_BYTES):
        crc = add_block(crc, view[start:start + BLOCK_BYTES])
    return crc ^ 0xFFFFFFFF
