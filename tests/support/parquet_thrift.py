"""Thrift's compact protocol, for tests that write and read Parquet's metadata without the code that
they test.

A struct that is written is a list of (id, kind, value), where None as a value leaves the field out;
kinds are those of KINDS, and of lists "list<KIND>". A struct that was read is a dict by id."""
import struct

KINDS = {"bool": 1, "i8": 3, "i16": 4, "i32": 5, "i64": 6, "double": 7, "binary": 8, "list": 9,
         "set": 10, "map": 11, "struct": 12, "uuid": 13}


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number, bits=64):
    return (number << 1 ^ number >> bits - 1) & (1 << bits) - 1


def write_value(kind, value):
    if kind == "bool":
        return b"\1" if value else b"\2"
    if kind == "i8":
        return struct.pack("b", value)
    if kind in ("i16", "i32", "i64"):
        return varint(zigzag(value))
    if kind == "double":
        return struct.pack("<d", value)
    if kind == "binary":
        value = value.encode() if isinstance(value, str) else value
        return varint(len(value)) + value
    if kind == "uuid":
        return value
    if kind == "struct":
        return write(value)
    inner = kind[len("list<"):-1]
    code = KINDS[inner.split("<")[0]]
    head = bytes([len(value) << 4 | code]) if len(value) < 15 else \
        bytes([0xF0 | code]) + varint(len(value))
    return head + b"".join(write_value(inner, item) for item in value)


def write(fields):
    """The bytes of a struct."""
    out, last = bytearray(), 0
    for number, kind, value in fields:
        if value is None:
            continue
        code = KINDS[kind.split("<")[0]]
        body = b""
        if kind == "bool":
            code = 1 if value else 2
        else:
            body = write_value(kind, value)
        step = number - last
        if 0 < step < 16:
            out.append(step << 4 | code)
        else:
            out.append(code)
            out += varint(zigzag(number))
        out += body
        last = number
    out.append(0)
    return bytes(out)


class Reader:
    """Takes structs from bytes, one behind the other."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    def integer(self):
        number = self.varint()
        return number >> 1 ^ -(number & 1)

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError(f"{count} bytes at {self.at} are cut short")
        self.at += count
        return bytes(self.data[self.at - count:self.at])

    def value(self, code):
        if code in (1, 2):  # within a list
            return self.byte() == 1
        if code == 3:
            return struct.unpack("b", self.take(1))[0]
        if code in (4, 5, 6):
            return self.integer()
        if code == 7:
            return struct.unpack("<d", self.take(8))[0]
        if code == 8:
            return self.take(self.varint())
        if code in (9, 10):
            head = self.byte()
            count = head >> 4
            if count == 15:
                count = self.varint()
            return [self.value(head & 15) for _ in range(count)]
        if code == 11:
            count = self.varint()
            kinds = self.byte() if count else 0
            return [(self.value(kinds >> 4), self.value(kinds & 15)) for _ in range(count)]
        if code == 12:
            return self.struct()
        if code == 13:
            return self.take(16)
        raise ValueError(f"kind {code} at {self.at}")

    def struct(self):
        out, last = {}, 0
        while True:
            head = self.byte()
            if head == 0:
                return out
            number = last + (head >> 4) if head >> 4 else self.integer()
            code = head & 15
            out[number] = code == 1 if code in (1, 2) else self.value(code)
            last = number
