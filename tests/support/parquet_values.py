"""Parquet's codecs and encodings, both ways, for tests: in the plainest form, and apart from the code
that they test. A value is the bytes of its physical type, of a BOOLEAN one byte."""
import gzip
import struct
import zlib

import brotli
import lz4.block
import lz4.frame
import snappy
import zstandard
from parquet_thrift import Reader, varint, zigzag

BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED = range(8)
WIDTHS = {BOOLEAN: 1, INT32: 4, INT64: 8, INT96: 12, FLOAT: 4, DOUBLE: 8, BYTE_ARRAY: 0}
PLAIN, PLAIN_DICTIONARY, RLE, BIT_PACKED = 0, 2, 3, 4
DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY = 5, 6, 7
RLE_DICTIONARY, BYTE_STREAM_SPLIT = 8, 9
UNCOMPRESSED, SNAPPY, GZIP, LZO, BROTLI, LZ4, ZSTD, LZ4_RAW = range(8)
CODECS = {"uncompressed": UNCOMPRESSED, "snappy": SNAPPY, "gzip": GZIP, "brotli": BROTLI,
          "lz4": LZ4, "zstd": ZSTD, "lz4_raw": LZ4_RAW}

# ---- codecs --------------------------------------------------------------------------------------


def hadoop_frames(data):
    """As Hadoop writes LZ4: frames with both lengths in front, big-endian."""
    out = b""
    for at in range(0, len(data), 1 << 17):
        piece = data[at:at + (1 << 17)]
        packed = lz4.block.compress(piece, store_size=False)
        out += struct.pack(">II", len(piece), len(packed)) + packed
    return out


def from_hadoop_frames(data, size):
    out, at = b"", 0
    while at < len(data):
        length, packed = struct.unpack_from(">II", data, at)
        out += lz4.block.decompress(data[at + 8:at + 8 + packed], uncompressed_size=length)
        at += 8 + packed
    if len(out) != size:
        raise ValueError("frames of another length")
    return out


def from_lz4(data, size):
    if not size:
        return b""
    for way in (from_hadoop_frames, lambda d, s: lz4.block.decompress(d, uncompressed_size=s),
                lambda d, s: lz4.frame.decompress(d)):
        try:
            return way(data, size)
        except (ValueError, struct.error, RuntimeError, lz4.block.LZ4BlockError):
            continue
    raise ValueError("LZ4 in no known frame")


def from_gzip(data):
    out = b""
    while data:  # members may follow one another
        member = zlib.decompressobj(47)
        out += member.decompress(data)
        data = member.unused_data
    return out


def compress(codec, data):
    return {UNCOMPRESSED: bytes, SNAPPY: snappy.compress,
            GZIP: lambda d: gzip.compress(d, mtime=0),
            BROTLI: lambda d: brotli.compress(d, quality=4), LZ4: hadoop_frames,
            ZSTD: zstandard.ZstdCompressor().compress,
            LZ4_RAW: lambda d: lz4.block.compress(d, store_size=False)}[codec](bytes(data))


def decompress(codec, data, size):
    data = bytes(data)
    if codec != UNCOMPRESSED and not data and not size:
        return b""
    out = {UNCOMPRESSED: bytes, SNAPPY: snappy.decompress, GZIP: from_gzip,
           BROTLI: brotli.decompress, LZ4: lambda d: from_lz4(d, size),
           ZSTD: lambda d: zstandard.ZstdDecompressor().decompress(d, max_output_size=max(size, 1)),
           LZ4_RAW: lambda d: lz4.block.decompress(d, uncompressed_size=size)}[codec](data)
    if len(out) != size:
        raise ValueError(f"{len(out)} bytes instead of {size}")
    return out


# ---- bits ----------------------------------------------------------------------------------------


def bits_of(greatest):
    return greatest.bit_length()


def pack(numbers, bits):
    """The lowest bit first; as many bytes as are needed."""
    total = 0
    for i, number in enumerate(numbers):
        total |= number << i * bits
    return total.to_bytes((len(numbers) * bits + 7) // 8, "little")


def unpack(data, bits, count):
    out = []
    for at in range(0, count, 8):
        total = int.from_bytes(data[at // 8 * bits:(at // 8 + 1) * bits], "little")
        out += [total >> i * bits & (1 << bits) - 1 for i in range(8)]
    return out[:count]


def write_bit_packed(numbers, bits):
    """The old encoding of levels: the highest bit first."""
    text = "".join(f"{number:0{bits}b}" for number in numbers) if bits else ""
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


def read_bit_packed(data, bits, count):
    length = (count * bits + 7) // 8
    if len(data) < length:
        raise ValueError("levels are cut short")
    text = "".join(f"{byte:08b}" for byte in data[:length])
    return [int(text[i * bits:(i + 1) * bits], 2) for i in range(count)], length


def write_hybrid(numbers, bits, style="runs", rng=None):
    """'style': runs (as writers do), rle (runs alone), packed (groups of eight alone), mixed (drawn;
    runs of any length, of zeros too)."""
    out, at, width = bytearray(), 0, (bits + 7) // 8
    while at < len(numbers):
        same = 1
        while at + same < len(numbers) and numbers[at + same] == numbers[at]:
            same += 1
        packs = {"rle": False, "packed": True, "runs": same < 8}.get(style)
        if packs is None:
            packs = rng.random() < 0.5
            same = rng.randint(1, same)
        if packs:
            groups = 1
            if style == "packed":
                groups = (len(numbers) - at + 7) // 8
            piece = list(numbers[at:at + 8 * groups])
            at += len(piece)
            piece += [0] * (8 * groups - len(piece))
            out += varint(groups << 1 | 1) + pack(piece, bits)
        else:
            out += varint(same << 1) + numbers[at].to_bytes(width, "little")
            at += same
    return bytes(out)


def read_hybrid(data, bits, count):
    """The numbers, and the bytes that they took."""
    reader, out, width = Reader(data), [], (bits + 7) // 8
    while len(out) < count:
        head = reader.varint()
        if head & 1:
            groups = head >> 1
            # The last group may be cut to the bytes that hold the values that count.
            piece = data[reader.at:reader.at + groups * bits]
            wanted = min(8 * groups, count - len(out))
            if len(piece) * 8 < wanted * bits:
                raise ValueError("packed numbers are cut short")
            out += unpack(piece, bits, wanted)
            reader.at += len(piece)
        else:
            number = int.from_bytes(reader.take(width), "little")
            if bits < 32 and number >> bits:
                raise ValueError(f"{number} has more than {bits} bits")
            out += [number] * min(head >> 1, count - len(out))
            if not head >> 1:
                raise ValueError("a run of none")
    return out, reader.at


# ---- values --------------------------------------------------------------------------------------


def write_plain(kind, values):
    if kind == BOOLEAN:
        return pack([value[0] for value in values], 1)
    if kind == BYTE_ARRAY:
        return b"".join(struct.pack("<I", len(value)) + value for value in values)
    return b"".join(values)


def read_plain(kind, width, data, count):
    if kind == BOOLEAN:
        length = (count + 7) // 8
        if len(data) < length:
            raise ValueError("booleans are cut short")
        return [bytes([bit]) for bit in unpack(data, 1, count)], length
    reader, out = Reader(data), []
    for _ in range(count):
        length = width
        if kind == BYTE_ARRAY:
            (length,) = struct.unpack("<I", reader.take(4))
        out.append(reader.take(length))
    return out, reader.at


def write_delta(numbers, bits, block=128, minis=4):
    """Numbers as they are signed; deltas go round as they do in a machine's word."""
    mask, half = (1 << bits) - 1, 1 << bits - 1

    def signed(number):
        return ((number & mask) ^ half) - half

    first = numbers[0] if numbers else 0
    out = varint(block) + varint(minis) + varint(len(numbers)) + varint(zigzag(first))
    deltas = [signed(b - a) for a, b in zip(numbers, numbers[1:])]
    for at in range(0, len(deltas), block):
        piece = deltas[at:at + block]
        least = min(piece)
        rest = [delta - least & mask for delta in piece]
        out += varint(zigzag(least))
        per, packed, widths = block // minis, b"", []
        for start in range(0, block, per):
            mini = rest[start:start + per]
            width = max(mini, default=0).bit_length()
            widths.append(width)
            if mini:
                packed += pack(mini + [0] * (per - len(mini)), width)
        out += bytes(widths) + packed
    return out


def read_delta(data, bits, count):
    mask, half = (1 << bits) - 1, 1 << bits - 1
    reader = Reader(data)
    block, minis, total = reader.varint(), reader.varint(), reader.varint()
    out = [reader.integer()] if total else []
    if not total:
        reader.integer()
    while len(out) < total:
        least = reader.integer()
        widths, per = reader.take(minis), block // minis
        for width in widths:
            if len(out) >= total:
                break
            for rest in unpack(reader.take(per * width // 8), width, min(per, total - len(out))):
                out.append(((out[-1] + least + rest & mask) ^ half) - half)
    if total != count:
        raise ValueError(f"{total} numbers instead of {count}")
    return out, reader.at


def write_lengths(values):
    return write_delta([len(value) for value in values], 32)


def common(a, b):
    length = 0
    while length < min(len(a), len(b)) and a[length] == b[length]:
        length += 1
    return length


def write_delta_byte_array(values):
    before = [b""] + list(values[:-1]) if values else []
    prefixes = [common(a, b) for a, b in zip(before, values)]
    rests = [value[length:] for value, length in zip(values, prefixes)]
    return write_delta(prefixes, 32) + write_lengths(rests) + b"".join(rests)


def read_delta_lengths(data, count):
    lengths, at = read_delta(data, 32, count)
    out, reader = [], Reader(data, at)
    for length in lengths:
        out.append(reader.take(length))
    return out, reader.at


def read_delta_byte_array(data, count):
    prefixes, used = read_delta(data, 32, count)
    rests, more = read_delta_lengths(data[used:], count)
    out, last = [], b""
    for prefix, rest in zip(prefixes, rests):
        if prefix > len(last):
            raise ValueError("a prefix longer than the value before")
        last = last[:prefix] + rest
        out.append(last)
    return out, used + more


def integers(values):
    return [int.from_bytes(value, "little", signed=True) for value in values]


def write_values(encoding, kind, values, rng=None):
    if encoding == PLAIN:
        return write_plain(kind, values)
    if encoding == RLE:  # of booleans, with a length in front
        runs = write_hybrid([value[0] for value in values], 1, "mixed" if rng else "runs", rng)
        return struct.pack("<I", len(runs)) + runs
    if encoding == DELTA_BINARY_PACKED:
        block, minis = rng.choice([(128, 4), (256, 4), (128, 1), (1024, 8)]) if rng else (128, 4)
        return write_delta(integers(values), 8 * WIDTHS[kind], block, minis)
    if encoding == DELTA_LENGTH_BYTE_ARRAY:
        return write_lengths(values) + b"".join(values)
    if encoding == DELTA_BYTE_ARRAY:
        return write_delta_byte_array(values)
    if encoding == BYTE_STREAM_SPLIT:
        return b"".join(bytes(value[i] for value in values) for i in range(len(values[0]))) \
            if values else b""
    raise ValueError(f"encoding {encoding}")


def read_values(encoding, kind, width, data, count):
    """The values, and the bytes that they took."""
    if encoding == PLAIN:
        return read_plain(kind, width, data, count)
    if encoding == RLE and kind == BOOLEAN:
        if not data and not count:
            return [], 0
        (length,) = struct.unpack_from("<I", data)
        numbers, _ = read_hybrid(data[4:4 + length], 1, count)
        return [bytes([number]) for number in numbers], 4 + length
    if encoding == DELTA_BINARY_PACKED:
        numbers, used = read_delta(data, 8 * width, count) if data or count else ([], 0)
        return [number.to_bytes(width, "little", signed=True) for number in numbers], used
    if encoding == DELTA_LENGTH_BYTE_ARRAY:
        return read_delta_lengths(data, count) if data or count else ([], 0)
    if encoding == DELTA_BYTE_ARRAY:
        return read_delta_byte_array(data, count) if data or count else ([], 0)
    if encoding == BYTE_STREAM_SPLIT:
        if len(data) < count * width:
            raise ValueError("streams are cut short")
        stride = len(data) // width if width else 0
        if stride != count:
            raise ValueError(f"{stride} values instead of {count}")
        return [bytes(data[i + k * count] for k in range(width)) for i in range(count)], \
            count * width
    raise ValueError(f"encoding {encoding} of type {kind}")
