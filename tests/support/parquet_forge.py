"""Writes Parquet files in every way that the format allows, also in those that few writers take, by
its text alone: encodings, codecs, pages of either version, levels, statistics, indexes, filters.

A schema is a tree of Node; a row is a dict of what each field holds: bytes of the physical type,
None, a dict of a group, a list of what is repeated. 'Style' says how a column is written."""
import struct
import zlib
from dataclasses import dataclass, field

from parquet_reader import (DATA_PAGE, DATA_PAGE_V2, DICTIONARY_PAGE, OPTIONAL, REPEATED, REQUIRED,
                            bloom_bits, leaves_of)
from parquet_thrift import Reader, write
from parquet_values import (BIT_PACKED, BYTE_ARRAY, FIXED, PLAIN, PLAIN_DICTIONARY, RLE,
                            RLE_DICTIONARY, bits_of, compress, write_bit_packed, write_hybrid,
                            write_plain, write_values)


@dataclass
class Node:
    """A field of the schema; with children it is a group."""
    name: str
    repetition: int = REQUIRED
    kind: int = None
    length: int = None  # of FIXED
    converted: int = None
    logical: list = None  # fields of LogicalType
    scale: int = None
    precision: int = None
    field_id: int = None
    children: list = field(default_factory=list)

    def elements(self):
        yield [(1, "i32", self.kind), (2, "i32", self.length), (3, "i32", self.repetition),
               (4, "binary", self.name), (5, "i32", len(self.children) or None),
               (6, "i32", self.converted), (7, "i32", self.scale), (8, "i32", self.precision),
               (9, "i32", self.field_id), (10, "struct", self.logical)]
        for child in self.children:
            yield from child.elements()

    def leaves(self, path=()):
        if not self.children:
            yield path + (self.name,), self
        for child in self.children:
            yield from child.leaves(path + (self.name,))


@dataclass
class Style:
    """How a column is written."""
    encoding: int = PLAIN
    dictionary: float = 0  # the share of pages that are of indices; the rest falls back
    dictionary_spare: list = field(default_factory=list)  # entries that no row has
    old_dictionary: bool = False  # PLAIN_DICTIONARY instead of RLE_DICTIONARY
    dictionary_offset: str = "set"  # or zero, or absent
    codec: int = 0
    version: int = 1
    page_levels: int = 100
    splits_rows: bool = False  # pages of version 1 end within rows
    empty_pages: bool = False
    crc: bool = False
    compressed: bool = True  # of pages of version 2
    bit_packed_levels: bool = False
    runs: str = "runs"
    statistics: str = "new"  # old, both, none
    page_statistics: bool = False
    index: bool = False
    bloom_bytes: int = 0
    bloom_length: bool = True
    metadata_behind: bool = False  # ColumnMetaData also behind the chunk, as old writers did
    size_statistics: bool = False
    encoding_stats: bool = False
    key_values: bool = False
    unknown_fields: bool = False


# ---- rows to levels ------------------------------------------------------------------------------


def shred(children, rows):
    """The entries (repetition, definition, value) of each leaf, per row."""
    out = {}

    def empty(node, path, repetition, definition):
        if node.children:
            for child in node.children:
                empty(child, path + (child.name,), repetition, definition)
        else:
            out.setdefault(path, [[]])[-1].append((repetition, definition, None))

    def body(node, path, value, repetition, definition, depth):
        if node.children:
            for child in node.children:
                put(child, path + (child.name,), value[child.name], repetition, definition, depth)
        else:
            out.setdefault(path, [[]])[-1].append((repetition, definition, value))

    def put(node, path, value, repetition, definition, depth):
        if node.repetition == REQUIRED:
            body(node, path, value, repetition, definition, depth)
        elif node.repetition == OPTIONAL and value is not None:
            body(node, path, value, repetition, definition + 1, depth)
        elif node.repetition == REPEATED and value:
            for i, item in enumerate(value):
                body(node, path, item, depth + 1 if i else repetition, definition + 1, depth + 1)
        else:
            empty(node, path, repetition, definition)

    for row in rows:
        for entries in out.values():
            entries.append([])
        for child in children:
            put(child, (child.name,), row[child.name], 0, 0, 0)
    return out


# ---- chunks --------------------------------------------------------------------------------------


def statistics(leaf, values, nulls, style):
    """The fields of Statistics over these values."""
    keyed = [(leaf.key(value), value) for value in values]
    keyed = [pair for pair in keyed if pair[0] is not None]
    least = min(keyed)[1] if keyed else None
    greatest = max(keyed)[1] if keyed else None
    if leaf.order in ("float", "float16") and keyed:  # zeros: -0 as least, +0 as greatest
        if min(keyed)[0] == 0:
            least = bytes(leaf.width - 1) + b"\x80"
        if max(keyed)[0] == 0:
            greatest = bytes(leaf.width)
    has_old = style.statistics in ("old", "both") and leaf.order in ("signed", "float")
    has_new = style.statistics in ("new", "both")
    return [(1, "binary", greatest if has_old else None), (2, "binary", least if has_old else None),
            (3, "i64", nulls), (5, "binary", greatest if has_new else None),
            (6, "binary", least if has_new else None)]


class ChunkWriter:
    """Writes one column of a row group."""

    def __init__(self, leaf, rows, style, rng):
        self.leaf, self.style, self.rng = leaf, style, rng
        self.rows, self.entries = rows, [entry for row in rows for entry in row]
        self.values = [value for _, _, value in self.entries if value is not None]
        self.dictionary, self.pages, self.encodings = None, [], []
        self.plain_bytes = 0

    def cut(self):
        """The entries of each page."""
        pages, page = [], []
        for row in self.rows:
            if page and len(page) >= self.style.page_levels:
                pages.append(page)
                page = []
            page = page + row
            while self.style.splits_rows and self.style.version == 1 and \
                    len(page) > self.style.page_levels:
                pages.append(page[:self.style.page_levels])
                page = page[self.style.page_levels:]
        pages.append(page)
        if self.style.empty_pages:
            for _ in range(2):
                pages.insert(self.rng.randint(0, len(pages)), [])
        return pages

    def page(self, header, body, plain_len):
        """A page with its header, which counts as so many bytes when decompressed."""
        if self.style.crc:
            crc = struct.unpack("<i", struct.pack("<I", zlib.crc32(body)))[0]
            header = header[:3] + [(4, "i32", crc)] + header[3:]
        if self.style.unknown_fields:
            header = header + [(77, "binary", b"later")]
        head = write(header)
        self.plain_bytes += len(head) + plain_len
        return head + body

    def dictionary_page(self, used):
        seen = dict.fromkeys(used)
        values = list(seen) + [value for value in self.style.dictionary_spare if value not in seen]
        self.rng.shuffle(values)
        self.dictionary = {value: i for i, value in enumerate(values)}
        plain = write_plain(self.leaf.kind, values)
        body = compress(self.style.codec, plain)
        encoding = PLAIN_DICTIONARY if self.style.old_dictionary else PLAIN
        self.encodings.append((DICTIONARY_PAGE, encoding))
        return self.page([(1, "i32", DICTIONARY_PAGE), (2, "i32", len(plain)),
                          (3, "i32", len(body)),
                          (7, "struct", [(1, "i32", len(values)), (2, "i32", encoding)])],
                         body, len(plain))

    def levels(self, numbers, greatest):
        if self.style.bit_packed_levels and self.style.version == 1:
            return write_bit_packed(numbers, bits_of(greatest))
        runs = write_hybrid(numbers, bits_of(greatest), self.style.runs, self.rng)
        return runs if self.style.version == 2 else struct.pack("<I", len(runs)) + runs

    def data_page(self, entries, has_indices):
        style, leaf = self.style, self.leaf
        values = [value for _, _, value in entries if value is not None]
        encoding = style.encoding
        if has_indices:
            encoding = PLAIN_DICTIONARY if style.old_dictionary else RLE_DICTIONARY
            bits = bits_of(max(len(self.dictionary) - 1, 0))
            data = bytes([bits]) + write_hybrid([self.dictionary[value] for value in values], bits,
                                                style.runs, self.rng)
        else:
            data = write_values(encoding, leaf.kind, values, self.rng)
        self.encodings.append((DATA_PAGE_V2 if style.version == 2 else DATA_PAGE, encoding))
        repetition = self.levels([entry[0] for entry in entries], leaf.max_repetition) \
            if leaf.max_repetition else b""
        definition = self.levels([entry[1] for entry in entries], leaf.max_definition) \
            if leaf.max_definition else b""
        nulls = len(entries) - len(values)
        told = statistics(leaf, values, nulls, style) if style.page_statistics else None
        if style.version == 1:
            plain = repetition + definition + data
            body = compress(style.codec, plain)
            level = BIT_PACKED if style.bit_packed_levels else RLE
            return self.page([(1, "i32", DATA_PAGE), (2, "i32", len(plain)), (3, "i32", len(body)),
                              (5, "struct", [(1, "i32", len(entries)), (2, "i32", encoding),
                                             (3, "i32", level), (4, "i32", level),
                                             (5, "struct", told)])], body, len(plain))
        packed = compress(style.codec, data) if style.compressed else data
        plain_len = len(repetition) + len(definition) + len(data)
        body = repetition + definition + packed
        rows = sum(1 for entry in entries if entry[0] == 0)
        return self.page([(1, "i32", DATA_PAGE_V2), (2, "i32", plain_len), (3, "i32", len(body)),
                          (8, "struct", [(1, "i32", len(entries)), (2, "i32", nulls),
                                         (3, "i32", rows), (4, "i32", encoding),
                                         (5, "i32", len(definition)), (6, "i32", len(repetition)),
                                         (7, "bool", None if style.compressed else False),
                                         (8, "struct", told)])], body, plain_len)

    def write(self, offset):
        """The chunk's bytes, and the fields of its ColumnMetaData, when it begins there."""
        style, out = self.style, b""
        pages = self.cut()
        indexed = round(style.dictionary * len(pages))
        first = None
        if indexed:
            out = self.dictionary_page([value for page in pages[:indexed]
                                        for _, _, value in page if value is not None])
            first = {"set": offset, "zero": 0, "absent": None}[style.dictionary_offset]
        data_offset = offset + len(out)
        if indexed and style.dictionary_offset != "set":
            data_offset = offset  # as old writers had it: the chunk's first page
        row = 0
        for i, page in enumerate(pages):
            body = self.data_page(page, i < indexed)
            self.pages.append((offset + len(out), len(body), row, page))
            out += body
            row += sum(1 for entry in page if entry[0] == 0)
        return out, self.metadata(len(out), data_offset, first)

    def metadata(self, length, data_offset, dictionary_offset):
        style, leaf = self.style, self.leaf
        nulls = len(self.entries) - len(self.values)
        told = None if style.statistics == "none" else \
            statistics(leaf, self.values, nulls, style)
        counts = {}
        for pair in self.encodings:
            counts[pair] = counts.get(pair, 0) + 1
        level = BIT_PACKED if style.bit_packed_levels else RLE
        encodings = dict.fromkeys([encoding for _, encoding in self.encodings] + [level])
        return [(1, "i32", leaf.kind), (2, "list<i32>", list(encodings)),
                (3, "list<binary>", list(leaf.path)), (4, "i32", style.codec),
                (5, "i64", len(self.entries)), (6, "i64", self.plain_bytes), (7, "i64", length),
                (8, "list<struct>", [[(1, "binary", "unit"), (2, "binary", "Ω")]]
                 if style.key_values else None),
                (9, "i64", data_offset), (11, "i64", dictionary_offset), (12, "struct", told),
                (13, "list<struct>", [[(1, "i32", page), (2, "i32", encoding), (3, "i32", count)]
                                      for (page, encoding), count in counts.items()]
                 if style.encoding_stats else None)]

    def size_statistics(self):
        def histogram(greatest, which):
            counts = [0] * (greatest + 1)
            for entry in self.entries:
                counts[entry[which]] += 1
            return counts if greatest else None
        is_bytes = self.leaf.kind == BYTE_ARRAY
        return [(1, "i64", sum(map(len, self.values)) if is_bytes else None),
                (2, "list<i64>", histogram(self.leaf.max_repetition, 0)),
                (3, "list<i64>", histogram(self.leaf.max_definition, 1))]

    def column_index(self):
        """None where the order of the values is not defined, as no index may be then."""
        if not self.leaf.order:
            return None
        pages = []
        for _, _, _, entries in self.pages:
            values = [value for _, _, value in entries if value is not None]
            told = {number: value for number, _, value in
                    statistics(self.leaf, values, len(entries) - len(values), Style())}
            pages.append((not values, told[6], told[5], told[3]))
        if any(not null and least is None for null, least, _, _ in pages):
            return None  # all NaN
        return write([(1, "list<bool>", [page[0] for page in pages]),
                      (2, "list<binary>", [page[1] or b"" for page in pages]),
                      (3, "list<binary>", [page[2] or b"" for page in pages]), (4, "i32", 0),
                      (5, "list<i64>", [page[3] for page in pages])])

    def offset_index(self):
        return write([(1, "list<struct>", [[(1, "i64", offset), (2, "i32", length),
                                            (3, "i64", row)]
                                           for offset, length, row, _ in self.pages])])

    def bloom(self):
        return write([(1, "i32", self.style.bloom_bytes), (2, "struct", [(1, "struct", [])]),
                      (3, "struct", [(1, "struct", [])]), (4, "struct", [(1, "struct", [])])]) + \
            bloom_bits(self.values, self.style.bloom_bytes)


# ---- files ---------------------------------------------------------------------------------------


@dataclass
class Shape:
    """How a file is written."""
    group_rows: list
    styles: dict  # by the dotted path
    key_values: list = None
    created_by: str = "parquet_forge version 1.0"
    orders: bool = True
    unknown_fields: bool = False
    old_row_groups: bool = False  # without the fields that came later
    bloom_behind_group: bool = False


def forge(children, rows, shape, rng):
    """The bytes of a file of these rows."""
    root = Node("schema", None, children=children)
    elements = list(root.elements())
    leaves = leaves_of([Reader(write(element)).struct() for element in elements])
    out, groups, at = bytearray(b"PAR1"), [], 0
    for ordinal, count in enumerate(shape.group_rows):
        entries = shred(children, rows[at:at + count])
        at += count
        groups.append(forge_group(out, leaves, entries, shape, rng, (ordinal, count)))
    for group in groups:
        for writer, record in group["columns"]:
            forge_extras(out, writer, record)
    footer = write([(1, "i32", 2), (2, "list<struct>", elements), (3, "i64", at),
                    (4, "list<struct>", [group_fields(group, shape) for group in groups]),
                    (5, "list<struct>", [[(1, "binary", key), (2, "binary", value)]
                                         for key, value in shape.key_values]
                     if shape.key_values is not None else None),
                    (6, "binary", shape.created_by),
                    (7, "list<struct>", [[(1, "struct", [])]] * len(leaves)
                     if shape.orders else None),
                    (99, "list<i64>", [1, -2, 1 << 62] if shape.unknown_fields else None)])
    out += footer + struct.pack("<I", len(footer)) + b"PAR1"
    return bytes(out)


def forge_group(out, leaves, entries, shape, rng, numbers):
    columns, offset, plain_bytes = [], len(out), 0
    for leaf in leaves:
        style = shape.styles[leaf.name]
        rows = entries.get(tuple(part.decode() for part in leaf.path), [])
        writer = ChunkWriter(leaf, rows, style, rng)
        start = len(out)
        data, metadata = writer.write(start)
        out += data
        plain_bytes += writer.plain_bytes
        record = {"metadata": metadata, "file_offset": start, "extras": []}
        if style.size_statistics:
            metadata.append((16, "struct", writer.size_statistics()))
        if shape.bloom_behind_group:
            forge_bloom(out, writer, record)
        if style.metadata_behind:
            record["file_offset"] = len(out)
            out += write(sorted(metadata, key=lambda item: item[0]))
        columns.append((writer, record))
    packed = sum(value for _, record in columns for number, _, value in record["metadata"]
                 if number == 7)
    return {"columns": columns, "offset": offset, "plain": plain_bytes, "packed": packed,
            "ordinal": numbers[0], "rows": numbers[1]}


def forge_bloom(out, writer, record):
    if not writer.style.bloom_bytes or record.get("bloom"):
        return
    record["bloom"] = True
    data = writer.bloom()
    record["metadata"] += [(14, "i64", len(out)),
                           (15, "i32", len(data) if writer.style.bloom_length else None)]
    out += data


def forge_extras(out, writer, record):
    """What lies behind all row groups."""
    forge_bloom(out, writer, record)
    if not writer.style.index:
        return
    index = writer.column_index()
    if index:
        record["extras"] += [(6, "i64", len(out)), (7, "i32", len(index))]
        out += index
    index = writer.offset_index()
    record["extras"] += [(4, "i64", len(out)), (5, "i32", len(index))]
    out += index


def group_fields(group, shape):
    columns = [sorted([(2, "i64", record["file_offset"]),
                       (3, "struct", sorted(record["metadata"], key=lambda item: item[0]))] +
                      record["extras"], key=lambda item: item[0])
               for _, record in group["columns"]]
    fields = [(1, "list<struct>", columns), (2, "i64", group["plain"]), (3, "i64", group["rows"])]
    if not shape.old_row_groups:
        fields += [(5, "i64", group["offset"]), (6, "i64", group["packed"]),
                   (7, "i16", group["ordinal"])]
    if shape.unknown_fields:
        fields += [(55, "struct", [(1, "bool", True), (2, "double", 0.5)])]
    return fields


def fixed(length):
    """For schemas: the type and its length."""
    return {"kind": FIXED, "length": length}
