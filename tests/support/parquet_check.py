"""What may differ between a Parquet file and the same without some of its rows, down to the bytes:
nothing but what has to. Apart from the code that it checks; parquet_judge.js asks other people's."""
from parquet_reader import DATA_PAGE, DATA_PAGE_V2, DICTIONARY_PAGE, ParquetFile, bloom_bits

# Fields of the metadata that say what rows there are, or where; all others stay.
OF_FILE = {3, 4}
OF_GROUP = {1, 2, 3, 5, 6, 7}
OF_COLUMN = {2, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17}
STATISTICS, SIZES = 12, 16
TOKEN_BYTES = 8


def without(node, fields):
    return {number: value for number, value in node.items() if number not in fields}


def differences(before, after, erased):
    """What is wrong with the bytes 'after' as those of 'before' without these rows."""
    old = ParquetFile(before)
    try:
        new = ParquetFile(after)
    except (ValueError, IndexError, KeyError) as error:
        return [f"the new file cannot be read: {error!r}"]
    return list(compare(old, new, set(erased)))


def lost_rows(before, after, erased):
    """The columns whose rows are not those that stay: of a file of which more may be damaged."""
    old, new, gone = ParquetFile(before), ParquetFile(after), set(erased)
    return [leaf.name for column, leaf in enumerate(old.leaves)
            if [row for i, row in enumerate(old.rows(column)) if i not in gone] != new.rows(column)]


def compare(old, new, erased):
    if without(old.footer, OF_FILE) != without(new.footer, OF_FILE):
        yield f"footer: {without(old.footer, OF_FILE)} is now {without(new.footer, OF_FILE)}"
    kept, at = [], 0
    for group in old.groups:
        gone = {row - at for row in erased if at <= row < at + group.row_count}
        at += group.row_count
        if len(gone) < group.row_count or group.row_count == 0:
            kept.append((group, gone))
    if len(kept) != len(new.groups):
        yield f"{len(new.groups)} row groups instead of {len(kept)}"
        return
    for number, ((group, gone), other) in enumerate(zip(kept, new.groups)):
        for complaint in compare_groups(group, other, gone, number, bool(erased)):
            yield f"row group {number}: {complaint}"
    yield from overlaps(new)
    yield from tokens_left(old, new, erased)


def has_strays(chunk):
    """Whether the dictionary has values that no row of the chunk has: they may be of rows that are
    erased from another row group, as some writers give each the dictionary of the whole file."""
    used = {index for page in chunk.data_pages for index in page.indices or []}
    return chunk.dictionary is not None and len(used) < len(chunk.dictionary)


def compare_groups(old, new, gone, number, loses_rows):
    if new.row_count != old.row_count - len(gone):
        yield f"{new.row_count} rows instead of {old.row_count - len(gone)}"
        return
    if without(old.node, OF_GROUP) != without(new.node, OF_GROUP):
        yield "other fields"
    if (7 in old.node) != (7 in new.node) or new.node.get(7, number) != number:
        yield f"the ordinal {new.node.get(7)}"
    for field in (5, 6):
        if (field in old.node) != (field in new.node):
            yield f"the field {field} has come or gone"
    packed = sum(chunk.len for chunk in new.chunks)
    if new.node.get(6, packed) != packed:
        yield f"total_compressed_size {new.node[6]} instead of {packed}"
    if new.row_count and 5 in old.node and old.node[5] == old.chunks[0].start and \
            new.node[5] != new.chunks[0].start:
        yield f"file_offset {new.node[5]} instead of {new.chunks[0].start}"
    for chunk, other in zip(old.chunks, new.chunks):
        is_copied = not gone and not (loses_rows and has_strays(chunk))
        for complaint in compare_chunks(chunk, other, gone, is_copied):
            yield f"'{chunk.leaf.name}': {complaint}"


def compare_chunks(old, new, gone, is_copied):
    if without(old.meta, OF_COLUMN) != without(new.meta, OF_COLUMN):
        yield "other metadata"
    if new.meta[6] != sum(page.header_len + page.header[2] for page in new.pages):
        yield f"total_uncompressed_size {new.meta[6]} is wrong"
    if not set(new.meta[2]) <= set(old.meta[2]):
        yield f"encodings {new.meta[2]}, before {old.meta[2]}"
    if 13 in new.meta:
        yield from check_encoding_stats(new)
    if is_copied:
        if old.raw != new.raw:
            yield "not copied as it was"
        for field in (STATISTICS, SIZES):
            if old.meta.get(field) != new.meta.get(field):
                yield f"other metadata {field}"
        if old.bloom() != new.bloom():
            yield "another bloom filter"
        yield from compare_index(old, new)
        return
    yield from compare_pages(old, new, gone)
    yield from check_dictionary(old, new)
    if STATISTICS in new.meta:
        yield from check_statistics(new.leaf, new.meta[STATISTICS], new.entries)
        if {1, 2} & set(new.meta[STATISTICS]) and new.leaf.order not in ("signed", "float"):
            yield "old statistics of an order that they do not have"
    yield from check_missing_statistics(old, new)
    if SIZES in new.meta:
        yield from check_sizes(new)
    yield from check_bloom(old, new)
    yield from check_index(old, new)


# ---- pages ---------------------------------------------------------------------------------------


def kept_entries(pages, gone):
    """What is left of each page; a row may go on over pages."""
    row = -1
    for page in pages:
        kept = []
        for entry in page.entries:
            row += entry[0] == 0
            if row not in gone:
                kept.append(entry)
        yield page, kept


def compare_pages(old, new, gone):
    wanted = [(page, kept) for page, kept in kept_entries(old.data_pages, gone) if kept]
    found = [page for page in new.data_pages if page.entries]
    flat = [entry for _, kept in wanted for entry in kept]
    if flat != new.entries:
        for i, (a, b) in enumerate(zip(flat, new.entries)):
            if a != b:
                yield f"value {i} of {len(flat)}: {a} is now {b}"
                return
        yield f"{len(new.entries)} values instead of {len(flat)}"
        return
    if len(wanted) != len(found):
        yield f"{len(found)} pages instead of {len(wanted)}"
        return
    for i, ((page, kept), other) in enumerate(zip(wanted, found)):
        if kept != other.entries:
            yield f"page {i} begins or ends elsewhere"
        for what, a, b in (("kind", page.kind, other.kind),
                           ("encoding", page.encoding, other.encoding),
                           ("checksum", 4 in page.header, 4 in other.header),
                           ("unknown fields", without(page.header, set(range(9))),
                            without(other.header, set(range(9))))):
            if a != b:
                yield f"page {i}: another {what}, {a} is now {b}"
        if page.kind == DATA_PAGE_V2 and \
                page.header[8].get(7, True) != other.header[8].get(7, True):
            yield f"page {i}: compressed or not"
        if other.trailing:
            yield f"page {i}: {other.trailing} bytes behind its values"
        told = other.header.get(5, {}).get(5) or other.header.get(8, {}).get(8)
        if told:
            yield from check_statistics(new.leaf, told, other.entries)


def check_dictionary(old, new):
    if new.dictionary is None:
        if any(page.indices for page in new.data_pages):
            yield "indices without a dictionary"
        return
    if old.dictionary is None:
        yield "a dictionary has come"
        return
    used = {index for page in new.data_pages for index in page.indices or []}
    spare = [value for i, value in enumerate(new.dictionary) if i not in used]
    if spare:
        yield f"the dictionary has {len(spare)} entries that no row has, such as {spare[0]}"
    places = iter(old.dictionary)
    if not all(value in places for value in new.dictionary):
        yield "the dictionary's entries are in another order"
    page = new.dictionary_page
    if page.encoding != old.dictionary_page.encoding:
        yield "another encoding of the dictionary"
    if (4 in page.header) != (4 in old.dictionary_page.header):
        yield "the dictionary's checksum has come or gone"
    if page.trailing:
        yield f"{page.trailing} bytes behind the dictionary"
    if len(set(new.dictionary)) < len(new.dictionary) and \
            len(set(old.dictionary)) == len(old.dictionary):
        yield "an entry is twice in the dictionary"


def check_encoding_stats(new):
    def plain(kind):  # some writers count pages of version 2 as those of version 1
        return DATA_PAGE if kind == DATA_PAGE_V2 else kind
    counts = {}
    for page in new.pages:
        if page.is_data or page.kind == DICTIONARY_PAGE:
            counts[plain(page.kind), page.encoding] = \
                counts.get((plain(page.kind), page.encoding), 0) + 1
    told = {}
    for one in new.meta[13]:
        if one[3]:
            told[plain(one[1]), one[2]] = told.get((plain(one[1]), one[2]), 0) + one[3]
    if counts != told:
        yield f"encoding_stats {told} instead of {counts}"


# ---- what is told about values ------------------------------------------------------------------


def check_statistics(leaf, told, entries):
    values = [value for _, _, value in entries if value is not None]
    nulls = len(entries) - len(values)
    if told.get(3, nulls) != nulls:
        yield f"null_count {told[3]} instead of {nulls}"
    if told.get(4, len(set(values))) != len(set(values)):
        yield f"distinct_count {told[4]} instead of {len(set(values))}"
    keys = [leaf.key(value) for value in values]
    keys = [key for key in keys if key is not None]
    for number, least, exact in ((6, True, 8), (5, False, 7), (2, True, None), (1, False, None)):
        if number not in told:
            continue
        bound = leaf.key(told[number])
        if not keys or bound is None:
            yield f"a bound {told[number]} where no value has one"
            continue
        wanted = min(keys) if least else max(keys)
        if bound > wanted if least else bound < wanted:
            yield f"a bound {told[number]} that {wanted} is beyond"
        # A cut text is a bound too, if it was made of what is left.
        elif bound != wanted and (told.get(exact, True) or not is_cut(told[number], wanted, least)):
            yield f"a bound {told[number]} that no value has, the next is {wanted}"


def check_missing_statistics(old, new):
    """What was told is told again where it can be: without column orders the bounds mean nothing."""
    fields = {3}
    if any(new.leaf.key(value) is not None for value in new.present):
        fields |= {5, 6} if 7 in old.file.footer else set()
        fields |= {1, 2} if new.leaf.order == "signed" else set()
    missing = set(old.meta.get(STATISTICS, {})) & fields - set(new.meta.get(STATISTICS, {}))
    if missing:
        yield f"statistics without the fields {sorted(missing)}"


def is_cut(bound, value, least):
    if not isinstance(value, bytes):
        return False
    stem = bound if least else bound[:-1]
    return len(bound) < len(value) and value.startswith(stem)


def check_sizes(new):
    told = new.meta[SIZES]
    if 1 in told and told[1] != sum(map(len, new.present)):
        yield f"unencoded_byte_array_data_bytes {told[1]} is wrong"
    for number, which, greatest in ((2, 0, new.leaf.max_repetition),
                                    (3, 1, new.leaf.max_definition)):
        if told.get(number) or (number in told and greatest):  # without such levels it may be empty
            counts = [0] * (greatest + 1)
            for entry in new.entries:
                counts[entry[which]] += 1
            if told[number] != counts:
                yield f"a histogram {told[number]} instead of {counts}"


def check_bloom(old, new):
    bits = new.bloom()
    if bits is None:
        return
    if len(bits) != len(old.bloom() or b""):
        yield "a bloom filter of another size"
    if bits != bloom_bits(new.present, len(bits)):
        yield "the bloom filter is not that of the values"


def compare_index(old, new):
    """Of a chunk that was copied: the same, but for where its pages lie."""
    columns, offsets = new.indexes()
    was_columns, was_offsets = old.indexes()
    if columns != was_columns:
        yield "another column index"
    for page in (was_offsets or {}).get(1, []):
        page[1] += new.start - old.start
    if offsets != was_offsets:
        yield "another offset index"


def check_index(old, new):
    columns, offsets = new.indexes()
    was_columns, was_offsets = old.indexes()
    if (was_offsets is None) != (offsets is None) or (columns and not was_columns):
        yield "a page index has come or gone"
    pages, row = new.data_pages, 0
    if offsets:
        wanted = []
        for page in pages:
            wanted.append((page.offset, page.len, row))
            row += page.rows
        found = [(one[1], one[2], one[3]) for one in offsets[1]]
        if found != wanted:
            yield f"an offset index of {found[:5]} instead of {wanted[:5]}"
        sizes = [sum(map(len, page.values)) for page in pages]
        if 2 in offsets and offsets[2] != sizes:
            yield "an offset index with other sizes"
    if not columns:
        return
    if was_columns and columns.get(4) != was_columns.get(4) and columns.get(4) not in (0, None):
        yield from check_boundary_order(new, columns)
    if len(columns[1]) != len(pages):
        yield f"a column index of {len(columns[1])} pages instead of {len(pages)}"
        return
    for i, page in enumerate(pages):
        told = {3: columns[5][i]} if 5 in columns else {}
        if columns[1][i] != (not page.values):
            yield f"page {i}: null or not"
        if not columns[1][i]:
            told.update({6: columns[2][i], 5: columns[3][i], 7: False, 8: False})
        elif columns[2][i] or columns[3][i]:
            yield f"page {i}: bounds of a page without values"
        yield from (f"page {i} in the index: {complaint}" for complaint in
                    check_statistics(new.leaf, told, page.entries))
    yield from check_boundary_order(new, columns)


def check_boundary_order(new, columns):
    bounds = [(new.leaf.key(least), new.leaf.key(greatest))
              for null, least, greatest in zip(columns[1], columns[2], columns[3]) if not null]
    order = columns.get(4, 0)
    pairs = list(zip(bounds, bounds[1:]))
    if order == 1 and any(a[0] > b[0] or a[1] > b[1] for a, b in pairs) or \
            order == 2 and any(a[0] < b[0] or a[1] < b[1] for a, b in pairs):
        yield f"a boundary order {order} that does not hold"


# ---- what is left in the file --------------------------------------------------------------------


def overlaps(new):
    places = sorted(place for group in new.groups for chunk in group.chunks
                    for place in chunk.places() if place[1])
    at = 4
    for offset, length in places:
        if offset < at:
            yield f"what is at {offset} begins before {at}"
        at = offset + length
    if at > new.footer_start:
        yield "something reaches into the footer"


def tokens(file, rows):
    """Values of these rows that nobody would write by chance."""
    out = set()
    for column in range(len(file.leaves)):
        for row, entries in enumerate(file.rows(column)):
            if row in rows:
                out.update(value for _, _, value in entries
                           if value is not None and len(set(value)) >= 5 and
                           len(value) >= TOKEN_BYTES)
    return out


def seen(new):
    """The file, its pages decompressed: what they are compressed to may look like anything."""
    at = 0
    pages = sorted((page for group in new.groups for chunk in group.chunks
                    for page in chunk.pages), key=lambda page: page.offset)
    for page in pages:
        yield new.data[at:page.offset + page.header_len]
        yield page.plain
        at = page.offset + page.len
    yield new.data[at:]


def tokens_left(old, new, erased):
    """Whether a value that only erased rows had is still somewhere, once pages are decompressed."""
    if not erased:
        return
    kept = b"\0".join({value for group in new.groups for chunk in group.chunks
                       for value in chunk.present})
    everything = b"\0".join(seen(new))
    stays = b"\0".join(str(value).encode() for value in without(old.footer, OF_FILE).values())
    for token in tokens(old, erased):
        if token in everything and token not in kept and token not in stays:
            yield f"{token!r} of an erased row is still in the file"
