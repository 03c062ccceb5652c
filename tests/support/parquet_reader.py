"""Reads Parquet files down to pages, levels and physical values, for tests: strict where readers are
lenient, so that it can judge what is written, and apart from the code that it judges."""
import struct
import zlib

import xxhash
from parquet_thrift import Reader
from parquet_values import (BIT_PACKED, BYTE_ARRAY, DOUBLE, FIXED, FLOAT, INT32, INT64, INT96,
                            PLAIN_DICTIONARY, RLE_DICTIONARY, WIDTHS, bits_of, decompress,
                            read_bit_packed, read_hybrid, read_values)

DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = range(4)
REQUIRED, OPTIONAL, REPEATED = range(3)
SALTS = (0x47B6137B, 0x44974D91, 0x8824AD5B, 0xA2B7289D, 0x705495C7, 0x2DF1424B, 0x9EFC4947,
         0x5C6BFB31)

# ---- schema --------------------------------------------------------------------------------------


class Leaf:
    """A column: where it lies in the schema, and how its values are ordered."""

    def __init__(self, path, element, max_definition, max_repetition):
        self.path, self.element = path, element
        self.name = ".".join(part.decode("utf-8", "replace") for part in path)
        self.kind = element[1]
        self.width = element.get(2, 0) if self.kind == FIXED else WIDTHS[self.kind]
        self.max_definition, self.max_repetition = max_definition, max_repetition
        self.order = order_of(element)

    def key(self, value):
        """What the value is sorted by; None: it has no place in the order."""
        if self.order in ("float", "float16"):
            (number,) = struct.unpack({2: "<e", 4: "<f", 8: "<d"}[len(value)], value)
            return None if number != number else number
        if self.order in ("signed", "unsigned"):
            return int.from_bytes(value, "little", signed=self.order == "signed")
        if self.order == "decimal":
            return int.from_bytes(value, "big", signed=True)
        return value if self.order == "bytes" else None


def order_of(element):
    kind, converted = element[1], element.get(6)
    logical = element.get(10) or {}
    if kind in (FLOAT, DOUBLE):
        return "float"
    if kind == INT96 or converted == 21 or {11, 16, 17, 18} & set(logical):
        return None
    if kind in (INT32, INT64):
        is_unsigned = converted in (11, 12, 13, 14) or logical.get(10, {}).get(2) is False
        return "unsigned" if is_unsigned else "signed"
    if kind in (BYTE_ARRAY, FIXED):
        if converted == 5 or 5 in logical:
            return "decimal"
        return "float16" if 15 in logical else "bytes"
    return "unsigned"


def leaves_of(schema):
    out, at = [], 1

    def walk(count, path, definition, repetition):
        nonlocal at
        for _ in range(count):
            element = schema[at]
            at += 1
            how = element.get(3, REQUIRED)
            levels = definition + (how != REQUIRED), repetition + (how == REPEATED)
            below = path + (element[4],)
            if element.get(5):
                walk(element[5], below, *levels)
            elif 1 in element:
                out.append(Leaf(below, element, *levels))
    walk(schema[0].get(5, 0), (), 0, 0)
    return out


# ---- pages ---------------------------------------------------------------------------------------


class Page:
    """A page and all that is in it. 'entries' has (repetition, definition, value) of each level."""

    def __init__(self, header, header_len, offset, body):
        self.header, self.header_len, self.offset = header, header_len, offset
        self.kind = header[1]
        self.body = body  # as it lies in the file
        self.plain = b""  # decompressed
        self.entries, self.indices, self.values = [], None, []
        self.encoding, self.trailing = None, 0

    @property
    def len(self):
        return self.header_len + len(self.body)

    @property
    def is_data(self):
        return self.kind in (DATA_PAGE, DATA_PAGE_V2)

    @property
    def rows(self):
        return sum(1 for repetition, _, _ in self.entries if repetition == 0)


class Chunk:
    """A column of a row group."""

    def __init__(self, file, leaf, node):
        self.file, self.leaf, self.node, self.meta = file, leaf, node, node[3]
        self.dictionary, self.dictionary_page, self.pages = None, None, []
        self.start = self.meta[9]
        if self.meta.get(11, 0) and (self.meta[11] < self.start or not self.start):
            self.start = self.meta[11]
        self.len = self.meta[7]
        self.codec = self.meta[4]

    @property
    def raw(self):
        return self.file.data[self.start:self.start + self.len]

    @property
    def data_pages(self):
        return [page for page in self.pages if page.is_data]

    @property
    def entries(self):
        return [entry for page in self.data_pages for entry in page.entries]

    @property
    def present(self):
        """The values that are not null."""
        return [value for _, _, value in self.entries if value is not None]

    def read(self):
        at, end = self.start, self.start + self.len
        if end > self.file.footer_start:
            raise ValueError(f"'{self.leaf.name}' reaches into the footer")
        while at < end:
            reader = Reader(self.file.data, at)
            header = reader.struct()
            page = Page(header, reader.at - at, at, self.file.data[reader.at:reader.at + header[3]])
            if page.len + at > end or len(page.body) != header[3]:
                raise ValueError(f"the page at {at} is cut short")
            if 4 in header and zlib.crc32(page.body) != header[4] & 0xFFFFFFFF:
                raise ValueError(f"the page at {at} has another checksum")
            self.take(page)
            self.pages.append(page)
            at += page.len
        if len(self.entries) != self.meta[5]:
            raise ValueError(f"'{self.leaf.name}' has {len(self.entries)} values, not {self.meta[5]}")
        return self

    def take(self, page):
        if page.kind == DICTIONARY_PAGE:
            page.plain = decompress(self.codec, page.body, page.header[2])
            page.encoding = page.header[7][2]
            page.values, used = read_values(0, self.leaf.kind, self.leaf.width, page.plain,
                                            page.header[7][1])
            page.trailing = len(page.plain) - used
            if self.dictionary is not None:
                raise ValueError("a second dictionary")
            self.dictionary, self.dictionary_page = page.values, page
        elif page.kind == DATA_PAGE:
            self.take_v1(page)
        elif page.kind == DATA_PAGE_V2:
            self.take_v2(page)

    def take_v1(self, page):
        of = page.header[5]
        page.plain = decompress(self.codec, page.body, page.header[2])
        page.encoding, count, at = of[2], of[1], 0
        levels = []
        for greatest, encoding in ((self.leaf.max_repetition, of[4]),
                                   (self.leaf.max_definition, of[3])):
            if not greatest:
                levels.append([0] * count)
            elif encoding == BIT_PACKED:
                numbers, used = read_bit_packed(page.plain[at:], bits_of(greatest), count)
                levels.append(numbers)
                at += used
            else:
                (length,) = struct.unpack_from("<I", page.plain, at)
                levels.append(self.levels(page.plain[at + 4:at + 4 + length], greatest, count))
                at += 4 + length
        self.values(page, levels, page.plain[at:])

    def take_v2(self, page):
        of = page.header[8]
        page.encoding, count = of[4], of[1]
        split = of[6] + of[5]
        body = page.body[split:]
        if of.get(7, True):
            body = decompress(self.codec, body, page.header[2] - split)
        elif len(body) != page.header[2] - split:
            raise ValueError("the page's lengths do not fit")
        page.plain = page.body[:split] + body
        parts = page.body[:of[6]], page.body[of[6]:split]
        levels = [self.levels(part, greatest, count) if greatest else [0] * count
                  for part, greatest in zip(parts, (self.leaf.max_repetition,
                                                    self.leaf.max_definition))]
        self.values(page, levels, body)
        if page.rows != of[3] or len(page.entries) - len(page.values) != of[2]:
            raise ValueError(f"the page at {page.offset} has other rows or nulls than it says")
        if page.entries and page.entries[0][0]:
            raise ValueError(f"the page at {page.offset} begins within a row")

    def levels(self, data, greatest, count):
        numbers, _ = read_hybrid(data, bits_of(greatest), count)
        if max(numbers, default=0) > greatest:
            raise ValueError(f"a level above {greatest}")
        return numbers

    def values(self, page, levels, data):
        repetition, definition = levels
        count = sum(1 for level in definition if level == self.leaf.max_definition)
        if page.encoding in (PLAIN_DICTIONARY, RLE_DICTIONARY):
            page.indices, used = [], len(data)
            if count:
                page.indices, used = read_hybrid(data[1:], data[0], count)
                used += 1
            page.values = [self.dictionary[index] for index in page.indices]
        else:
            page.values, used = read_values(page.encoding, self.leaf.kind, self.leaf.width, data,
                                            count)
        page.trailing = len(data) - used
        values = iter(page.values)
        page.entries = [(r, d, next(values) if d == self.leaf.max_definition else None)
                        for r, d in zip(repetition, definition)]

    # ---- what lies apart from the pages ----

    def indexes(self):
        """The column index and the offset index; None where there is none."""
        return tuple(Reader(self.file.data, self.node[number]).struct() if number in self.node
                     else None for number in (6, 4))

    def bloom(self):
        """The bits of the bloom filter; None: there is none."""
        if 14 not in self.meta:
            return None
        reader = Reader(self.file.data, self.meta[14])
        header = reader.struct()
        bits = reader.take(header[1])
        if 15 in self.meta and reader.at - self.meta[14] != self.meta[15]:
            raise ValueError("the bloom filter has another length")
        return bits

    def places(self):
        """(offset, length) of everything that belongs to it."""
        yield self.start, self.len
        for number in (4, 6):
            if number in self.node:
                yield self.node[number], self.node[number + 1]
        if 14 in self.meta:
            reader = Reader(self.file.data, self.meta[14])
            header = reader.struct()
            yield self.meta[14], reader.at - self.meta[14] + header[1]


def bloom_bits(values, length):
    """The bits of a split block bloom filter of that many bytes."""
    words = [0] * (length // 4)
    for value in values:
        hashed = xxhash.xxh64_intdigest(value)
        block = (hashed >> 32) * (length // 32) >> 32
        for i, salt in enumerate(SALTS):
            words[block * 8 + i] |= 1 << ((hashed * salt & 0xFFFFFFFF) >> 27)
    return struct.pack(f"<{len(words)}I", *words)


# ---- files ---------------------------------------------------------------------------------------


class Group:
    """A row group."""

    def __init__(self, file, node):
        self.node = node
        self.row_count = node[3]
        self.chunks = [Chunk(file, leaf, chunk) for leaf, chunk in zip(file.leaves, node[1])]


class ParquetFile:
    """A whole file, read at once."""

    def __init__(self, data):
        self.data = bytes(data)
        if self.data[:4] != b"PAR1" or self.data[-4:] != b"PAR1" or len(self.data) < 12:
            raise ValueError("not a Parquet file")
        (length,) = struct.unpack_from("<I", self.data, len(self.data) - 8)
        self.footer_start = len(self.data) - 8 - length
        reader = Reader(self.data, self.footer_start)
        self.footer = reader.struct()
        if reader.at != len(self.data) - 8:
            raise ValueError("there is something behind the metadata")
        self.leaves = leaves_of(self.footer[2])
        self.groups = [Group(self, node) for node in self.footer.get(4, [])]
        for group in self.groups:
            if len(group.chunks) != len(self.leaves):
                raise ValueError("a row group of other columns")
            for chunk in group.chunks:
                chunk.read()
                rows = sum(1 for entry in chunk.entries if entry[0] == 0)
                if rows != group.row_count:
                    raise ValueError(f"'{chunk.leaf.name}' has {rows} rows, not {group.row_count}")
        self.row_count = sum(group.row_count for group in self.groups)
        if self.row_count != self.footer[3]:
            raise ValueError(f"{self.row_count} rows instead of {self.footer[3]}")

    def leaf(self, name):
        return next(i for i, leaf in enumerate(self.leaves) if leaf.name == name)

    def rows(self, column):
        """The entries of each row of a column."""
        out = []
        for group in self.groups:
            for entry in group.chunks[column].entries:
                if entry[0] == 0:
                    out.append([])
                out[-1].append(entry)
        return out
