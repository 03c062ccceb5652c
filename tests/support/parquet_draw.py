"""Draws Parquet files: any schema, any values, each column in any style that the format allows.

Files that are not 'odd' are such as other readers take too; what only few of them do (levels packed
the old way, pages without a value within lists, a dictionary at an offset of zero) is odd."""
import struct

from parquet_forge import Node, Shape, Style, forge
from parquet_reader import OPTIONAL, REPEATED, REQUIRED
from parquet_values import (BOOLEAN, BYTE_ARRAY, BYTE_STREAM_SPLIT, CODECS, DELTA_BINARY_PACKED,
                            DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY, DOUBLE, FIXED, FLOAT, INT32,
                            INT64, INT96, LZ4, PLAIN, RLE, WIDTHS)

EMPTY = [(1, "struct", [])]
FLOATS = [0.0, -0.0, 1.5, -2.25, float("inf"), float("-inf"), 1e-40]


def utc_micros():
    return [(8, "struct", [(1, "bool", True), (2, "struct", [(2, "struct", [])])])]


def draw_text(rng):
    length = rng.choice([0, 1, 8, 20, 20, 20, 200])
    return "".join(rng.choice("abcdefghijklmnop'\"\n\\é漢😀") for _ in range(length)).encode()


def draw_float(layout):
    def draw(rng):
        if rng.random() < 0.2:
            nan = {"<f": b"\x01\x00\xc0\x7f", "<d": b"\x01\0\0\0\0\0\xf8\xff", "<e": b"\x01\x7e"}
            return nan[layout]
        if rng.random() < 0.3:
            return struct.pack(layout, rng.choice(FLOATS))
        return struct.pack(layout, rng.uniform(-1000, 1000))
    return draw


def draw_bytes(length):
    return lambda rng: rng.randbytes(length)


def draw_small(length, top):
    return lambda rng: rng.randrange(top).to_bytes(length, "little")


# What a column may be: fields of Node, and how a value is drawn.
KINDS = {
    "text": ({"kind": BYTE_ARRAY, "converted": 0, "logical": [(1, "struct", [])]}, draw_text),
    "json": ({"kind": BYTE_ARRAY, "converted": 19, "logical": [(12, "struct", [])]},
             lambda rng: b'{"a": "%s"}' % rng.randbytes(6).hex().encode()),
    "bytes": ({"kind": BYTE_ARRAY}, lambda rng: rng.randbytes(rng.choice([0, 3, 9, 30]))),
    "boolean": ({"kind": BOOLEAN}, lambda rng: rng.choice([b"\0", b"\1"])),
    "int32": ({"kind": INT32}, draw_bytes(4)),
    "int64": ({"kind": INT64}, draw_bytes(8)),
    "serial": ({"kind": INT64}, draw_small(8, 1000)),
    "uint32": ({"kind": INT32, "converted": 13,
                "logical": [(10, "struct", [(1, "i8", 32), (2, "bool", False)])]}, draw_bytes(4)),
    "uint64": ({"kind": INT64, "converted": 14}, draw_bytes(8)),
    "int8": ({"kind": INT32, "converted": 15}, draw_small(4, 128)),
    "date": ({"kind": INT32, "converted": 6, "logical": [(6, "struct", [])]},
             draw_small(4, 20000)),
    "timestamp": ({"kind": INT64, "converted": 10, "logical": utc_micros()},
                  draw_small(8, 1 << 50)),
    "int96": ({"kind": INT96}, lambda rng: struct.pack("<qi", rng.randrange(86400 * 10**9),
                                                       rng.randint(2440588, 2470000))),
    "float": ({"kind": FLOAT}, draw_float("<f")),
    "double": ({"kind": DOUBLE}, draw_float("<d")),
    "decimal32": ({"kind": INT32, "converted": 5, "scale": 2, "precision": 9,
                   "logical": [(5, "struct", [(1, "i32", 2), (2, "i32", 9)])]},
                  draw_small(4, 10**9)),
    "decimal128": ({"kind": FIXED, "length": 16, "converted": 5, "scale": 3, "precision": 38},
                   lambda rng: rng.randint(-10**37, 10**37).to_bytes(16, "big", signed=True)),
    "decimal_bytes": ({"kind": BYTE_ARRAY, "converted": 5, "scale": 0, "precision": 18},
                      lambda rng: rng.randint(-10**17, 10**17).to_bytes(8, "big", signed=True)),
    "uuid": ({"kind": FIXED, "length": 16, "logical": [(14, "struct", [])]}, draw_bytes(16)),
    "interval": ({"kind": FIXED, "length": 12, "converted": 21}, draw_small(12, 1 << 20)),
    "fixed": ({"kind": FIXED, "length": 9}, draw_bytes(9)),
    "float16": ({"kind": FIXED, "length": 2, "logical": [(15, "struct", [])]}, draw_float("<e")),
}
ENCODINGS = {
    BOOLEAN: [PLAIN, RLE], INT32: [PLAIN, DELTA_BINARY_PACKED, BYTE_STREAM_SPLIT],
    INT64: [PLAIN, DELTA_BINARY_PACKED, BYTE_STREAM_SPLIT], INT96: [PLAIN],
    FLOAT: [PLAIN, BYTE_STREAM_SPLIT], DOUBLE: [PLAIN, BYTE_STREAM_SPLIT],
    BYTE_ARRAY: [PLAIN, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY],
    FIXED: [PLAIN, DELTA_BYTE_ARRAY, BYTE_STREAM_SPLIT],
}


class Draw:
    """One file: its schema, its rows, how it is written, and its bytes."""

    def __init__(self, rng, odd=False, count=None, uniform=None):
        self.rng, self.odd = rng, odd
        self.drawers = {}
        self.children = [Node("id", rng.choice([REQUIRED, OPTIONAL]), **KINDS["text"][0])]
        self.drawers["id",] = lambda rng: b"user-%s" % rng.randbytes(8).hex().encode()
        for i in range(rng.randint(1, 5)):
            self.children.append(self.field(f"c{i}", (), rng.choice([0, 0, 0, 1, 2, 3])))
        count = rng.choice([0, 1, 7, 60, 300, 1200]) if count is None else count
        self.rows = [self.row(self.children, ()) for _ in range(count)]
        paths = [path for child in self.children for path, _ in child.leaves()]
        kinds = {path: node for child in self.children for path, node in child.leaves()}
        self.styles = {".".join(path): uniform or self.style(kinds[path], self.repeats(path))
                       for path in paths}
        self.shape = Shape(self.groups(count), self.styles,
                           key_values=rng.choice([None, [], [("k", "v"), ("empty", None),
                                                             ("k", "again")]]),
                           orders=rng.random() < 0.8, unknown_fields=rng.random() < 0.3,
                           old_row_groups=rng.random() < 0.2,
                           bloom_behind_group=rng.random() < 0.5)
        self.data = forge(self.children, self.rows, self.shape, rng)

    # ---- schema and rows ----

    def field(self, name, path, depth):
        rng, path = self.rng, path + (name,)
        repetition = rng.choice([REQUIRED, OPTIONAL])
        if depth == 0:
            return self.leaf(name, path[:-1], repetition)
        form = rng.choice(["struct", "list", "map", "old list"] if self.odd else
                          ["struct", "list", "map"])
        if form == "struct":
            return Node(name, repetition, children=[
                self.field(f"f{i}", path, depth - 1) for i in range(rng.randint(1, 3))])
        if form == "list":
            item = self.field("element", path + ("list",), depth - 1)
            return Node(name, repetition, converted=3, logical=[(3, "struct", [])],
                        children=[Node("list", REPEATED, children=[item])])
        if form == "map":
            below = path + ("key_value",)
            key = self.leaf("key", below, REQUIRED)
            value = self.field("value", below, depth - 1)
            return Node(name, repetition, converted=1, logical=[(2, "struct", [])],
                        children=[Node("key_value", REPEATED, children=[key, value])])
        return Node(name, repetition, converted=3,
                    children=[self.leaf("array", path, REPEATED)])

    def leaf(self, name, path, repetition):
        of, draw = KINDS[self.rng.choice(list(KINDS))]
        few = [draw(self.rng) for _ in range(self.rng.choice([1, 2, 30]))]
        self.drawers[path + (name,)] = self.rng.choice([draw, draw, lambda rng: rng.choice(few)])
        return Node(name, repetition, field_id=self.rng.choice([None, 7]), **of)

    def row(self, children, path):
        return {child.name: self.value(child, path + (child.name,)) for child in children}

    def value(self, node, path):
        if node.repetition == OPTIONAL and self.rng.random() < 0.2:
            return None
        if node.repetition == REPEATED:
            return [self.one(node, path) for _ in range(self.rng.choice([0, 0, 1, 2, 3, 9]))]
        return self.one(node, path)

    def one(self, node, path):
        return self.row(node.children, path) if node.children else self.drawers[path](self.rng)

    def repeats(self, path):
        children, found = self.children, False
        for name in path:
            node = next(child for child in children if child.name == name)
            found, children = found or node.repetition == REPEATED, node.children
        return found

    # ---- styles ----

    def groups(self, count):
        out = []
        while count:
            out.append(min(count, self.rng.choice([1, 50, 400, 2000])))
            count -= out[-1]
        return out or self.rng.choice([[], [0]])

    def style(self, node, repeats):
        rng, odd = self.rng, self.odd
        codecs = list(CODECS.values()) if odd else [c for c in CODECS.values() if c != LZ4]
        # To hyparquet a list of the old kind that goes on in the next page is two rows.
        splits_rows = rng.random() < 0.5 and node.name != "array"
        has_dictionary = node.kind != BOOLEAN and rng.random() < 0.5
        return Style(
            encoding=rng.choice(ENCODINGS[node.kind]),
            dictionary=rng.choice([1, 1, 0.5]) if has_dictionary else 0,
            dictionary_spare=[self.spare(node)] if rng.random() < 0.2 else [],
            old_dictionary=rng.random() < 0.3,
            dictionary_offset=rng.choice(["set", "zero", "absent"]) if odd else "set",
            codec=rng.choice(codecs), version=rng.choice([1, 2]),
            page_levels=rng.choice([1 if odd else 5, 20, 150, 5000]),
            splits_rows=splits_rows,
            # Even those who read them lose their place at an empty page within a row.
            empty_pages=rng.random() < 0.3 and odd and not (repeats and splits_rows),
            crc=rng.random() < 0.3, compressed=rng.random() < 0.8,
            bit_packed_levels=odd and rng.random() < 0.2,
            runs=rng.choice(["runs", "rle", "packed", "mixed"]),
            statistics=rng.choice(["new", "new", "old", "both", "none"]),
            page_statistics=rng.random() < 0.3, index=rng.random() < 0.4 and not repeats,
            bloom_bytes=rng.choice([0, 0, 32, 1024]) if node.kind != BOOLEAN else 0,
            bloom_length=rng.random() < 0.5, metadata_behind=rng.random() < 0.2,
            size_statistics=rng.random() < 0.3, encoding_stats=rng.random() < 0.5,
            key_values=rng.random() < 0.2, unknown_fields=rng.random() < 0.2)

    def spare(self, node):
        """An entry of the dictionary that most likely no row has."""
        return self.rng.randbytes({BYTE_ARRAY: 12, FIXED: node.length}.get(node.kind) or
                                  WIDTHS[node.kind])

    def erased(self):
        """Rows to leave out, rising."""
        rng, count = self.rng, len(self.rows)
        return draw_rows(rng, count)


def draw_rows(rng, count):
    """Rows of a file of so many: a few, some, most, a stretch, or all."""
    how = rng.choice(["few", "some", "most", "stretch", "all"])
    if how == "stretch":
        start = rng.randint(0, count)
        return list(range(start, rng.randint(start, count)))
    share = {"few": 0.01, "some": 0.2, "most": 0.9, "all": 1}[how]
    rows = [row for row in range(count) if rng.random() < share]
    return rows or ([rng.randrange(count)] if count else [])
