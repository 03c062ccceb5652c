"""dsr's own reader and rewriter of Parquet, judged by means that are not its own: hyparquet, DuckDB
and a strict reader of the tests, over files of other writers and files that are drawn.

Here is drawn for a few seconds, and of each file a few sets of rows are left out, others of the
next one; with RUN_CORE_FULL=1 all of them, and for longer.
"""
import os
import random
import time
from unittest.mock import ANY

import parquet_check
import parquet_forge
import pytest
from chance import seeds
from parquet_draw import Draw, draw_rows
from parquet_forge import Node, Shape, Style, forge
from parquet_reader import OPTIONAL, REQUIRED, ParquetFile
from parquet_values import BYTE_ARRAY, DELTA_BYTE_ARRAY, FIXED, INT64, SNAPPY
# Fixtures are found by their names.
from parquet_world import (FILES, some_drops, the_court, the_readers,  # noqa: F401
                           the_tool)

FULL = bool(os.environ.get("RUN_CORE_FULL"))
LOOP_S = float(os.environ.get("RUN_CORE_PARQUET_LOOP_S", "20" if FULL else "4"))
NAMES = sorted(path.name for path in FILES.glob("*.parquet"))


def until(seconds):
    """Seeds for about so long, and at least one."""
    end = time.monotonic() + seconds
    for seed in seeds():
        yield seed
        if time.monotonic() > end:
            return


# ---- rewriting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_another_writer_keeps_every_other_row(court, name):
    path = FILES / name
    file = ParquetFile(path.read_bytes())
    drops = some_drops(file, random.Random(name))
    if not FULL:
        at = NAMES.index(name)
        drops = [drops[i] for i in {at % len(drops), (2 * at + 1) % len(drops)}]
    for erased in drops:
        court.check(path, erased)


@pytest.mark.parametrize("odd", [False, True], ids=["as others write", "as few write"])
def test_a_file_that_is_drawn_keeps_every_other_row(court, odd):
    for seed in until(LOOP_S):
        rng = random.Random(seed)
        draw = Draw(rng, odd)
        court.check(court.tool.save(draw.data), draw.erased())


SETTINGS = [
    {"codec": codec, "group": group, "version": version}
    for codec, group, version in [
        ("snappy", 2048, "V1"), ("zstd", 2048, "V2"), ("gzip", 122880, "V1"),
        ("brotli", 2048, "V2"), ("lz4_raw", 2048, "V1"), ("uncompressed", 2048, "V2"),
    ]
]
USERS = """
SELECT CASE WHEN i % 13 = 0 THEN NULL ELSE 'user-' || hash(i) END AS id,
       {'user': i, 'tags': ['a', NULL]}::JSON AS json,
       TIMESTAMP '2024-05-17 12:00:00' + INTERVAL (i) SECOND AS created,
       CASE WHEN i % 5 = 0 THEN NULL ELSE ['CZ', 'DE', 'FR'][1 + i % 3] END AS country,
       MAP {'a': i, 'b': NULL} AS attributes,
       CASE WHEN i % 7 = 0 THEN NULL ELSE [i, NULL, i + 1] END AS list,
       {'x': i, 'y': {'z': CASE WHEN i % 3 = 0 THEN NULL ELSE i::VARCHAR END}} AS struct,
       (i * 1.25)::DECIMAL(12, 2) AS amount, (i::HUGEINT * 10000000000)::DECIMAL(38, 0) AS wide,
       CASE i % 4 WHEN 0 THEN 'NaN'::DOUBLE WHEN 1 THEN -0.0::DOUBLE ELSE i / 3 END AS score,
       i % 2 = 0 AS active, i::UBIGINT AS unsigned, DATE '2024-01-01' + (i % 400)::INT AS day,
       md5(i::VARCHAR)::UUID AS uuid, hash(i)::VARCHAR::BLOB AS blob
FROM range(2500) t(i)
"""


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda one: one["codec"])
def test_a_file_of_the_engine_keeps_every_other_row(court, settings):
    path = court.tool.path("duckdb.parquet")
    court.readers.rows(
        f"COPY ({USERS}) TO '{path}' (FORMAT parquet, CODEC {settings['codec']}, "
        f"ROW_GROUP_SIZE {settings['group']}, PARQUET_VERSION {settings['version']}, "
        "KV_METADATA {owner: 'tests'})")
    rng = random.Random(settings["codec"])
    after = court.check(path, sorted(rng.sample(range(2500), 40)))
    file = ParquetFile(after.read_bytes())
    kept = [row[0][2] for row in file.rows(file.leaf("id"))]
    for one in rng.sample(kept, 10):  # statistics and filters hide none of them
        if one is not None:
            text = one.decode()
            assert court.readers.rows(
                f"SELECT count(*) FROM '{after}' WHERE id = '{text}'") == [[str(kept.count(one))]]
            probe = court.readers.rows(
                f"SELECT bool_and(bloom_filter_excludes) FROM "
                f"parquet_bloom_probe('{after}', 'id', '{text}')")
            assert probe == [[False]]


def test_bounds_and_filters_hide_no_row_from_another_reader(court):
    """Point queries by a reader that prunes by statistics, page indexes and bloom filters."""
    node = Node("id", REQUIRED, BYTE_ARRAY, converted=0, logical=[(1, "struct", [])])
    number = Node("n", REQUIRED, INT64)
    rng = random.Random(1)
    rows = [{"id": b"user-%05d" % rng.randrange(10**5),
             "n": rng.randrange(10**6).to_bytes(8, "little")} for _ in range(2000)]
    style = Style(page_levels=50, index=True, bloom_bytes=4096, codec=SNAPPY)
    source = court.tool.save(forge([node, number], rows, Shape(
        [500] * 4, {"id": style, "n": style}), rng))
    erased = draw_rows(random.Random(2), 2000) or [0]
    after = court.check(source, erased)
    gone = set(erased)
    kept = [row for i, row in enumerate(rows) if i not in gone]
    for row in rng.sample(kept, min(len(kept), 30)):
        for column, value in (("id", f"'{row['id'].decode()}'"),
                              ("n", int.from_bytes(row["n"], "little"))):
            count = sum(1 for one in kept if one[column] == row[column])
            assert court.readers.rows(f"SELECT count(*) FROM '{after}' WHERE {column} = {value}") \
                == [[str(count)]]


def test_metadata_whose_bounds_were_cut_does_not_grow(court, monkeypatch):
    """Of long texts, in many row groups, each of which loses a row."""
    whole = parquet_forge.statistics

    def cut(leaf, values, nulls, style):
        ends = {5: b"~", 6: b""}
        told = whole(leaf, values, nulls, style)
        return [(number, kind, value[:9] + ends[number] if number in ends and value else value)
                for number, kind, value in told] + [(7, "bool", False), (8, "bool", False)]

    monkeypatch.setattr(parquet_forge, "statistics", cut)
    rng = random.Random(3)
    nodes = [Node(f"c{i}", REQUIRED, BYTE_ARRAY, converted=0) for i in range(4)]
    rows = [{node.name: rng.randbytes(1500).hex().encode() for node in nodes} for _ in range(400)]
    styles = {node.name: Style(codec=SNAPPY, index=True, encoding_stats=True) for node in nodes}
    source = court.tool.save(forge(nodes, rows, Shape([2] * 200, styles), rng))
    after = court.check(source, range(0, 400, 2))
    footers = [int.from_bytes(path.read_bytes()[-8:-4], "little") for path in (source, after)]
    assert footers[1] < footers[0] + 200 * len(nodes) * 2 * 64


# ---- what is gone --------------------------------------------------------------------------------


@pytest.mark.parametrize("style", [
    Style(), Style(dictionary=1), Style(dictionary=1, old_dictionary=True, version=2),
    Style(dictionary=0.5, page_levels=10), Style(encoding=DELTA_BYTE_ARRAY, version=2),
    Style(page_statistics=True, statistics="both", index=True, page_levels=20),
    Style(bloom_bytes=2048, size_statistics=True, encoding_stats=True),
    Style(metadata_behind=True, page_statistics=True),
    Style(dictionary=1, dictionary_spare=[b"spare-entry-of-nobody"]),
    Style(dictionary=1, metadata_behind=True, index=True, bloom_bytes=64, page_levels=7),
], ids=lambda style: " ".join(f"{key}={value}" for key, value in vars(style).items()
                              if value != getattr(Style(), key)) or "plain")
def test_nothing_in_the_file_tells_of_an_erased_row(court, style):
    """Each row has texts of its own; those that are gone are the least and the greatest too."""
    rng = random.Random(5)
    nodes = [Node(name, REQUIRED, BYTE_ARRAY, converted=0, logical=[(1, "struct", [])])
             for name in ("id", "json")]
    erased = sorted({0, 299, *rng.sample(range(300), 60)})
    rows = [{"id": b"%s-%s" % (rng.choice([b"\x01", b"zz"]) if i in set(erased) else b"m",
                               rng.randbytes(9).hex().encode()),
             "json": b'{"secret": "%s"}' % rng.randbytes(9).hex().encode()} for i in range(300)]
    data = forge(nodes, rows, Shape([100, 150, 50], {"id": style, "json": style}), rng)
    after = court.check(court.tool.save(data), erased).read_bytes()
    secrets = [rows[i]["id"] for i in erased] + [rows[i]["json"] for i in erased]
    assert all(rows[i]["json"][-12:] in data for i in erased)
    for secret in secrets:
        for piece in (secret, secret[-12:]):  # encodings may store the end of a text alone
            assert piece not in after


def test_the_judges_see_what_is_wrong(court):
    """Each of them complains about a row too many, a row too few, and another row."""
    path = FILES / "spark_users_snappy.parquet"
    after, _ = court.tool.rewrite(path, [5])
    for claimed in ([], [5, 6], [6]):
        found, _ = court.complaints(path, claimed, after)
        assert {line.split(":")[0] for line in found} >= {"bytes", "hyparquet", "duckdb"}, claimed


def test_a_judge_whom_a_file_overwhelms_says_so(court):
    """hyparquet takes levels packed the old way, which DuckDB refuses, for two billion of them."""
    node = Node("c0", OPTIONAL, FIXED, length=16)
    style = Style(bit_packed_levels=True, page_levels=1)
    rows = [{"c0": b"\0\0\0\xfe\xff\xff\xff\x0f" + bytes(8)}] * 2
    source = court.tool.save(forge([node], rows, Shape([2], {"c0": style}), random.Random(6)))
    after = court.check(source, [0])
    reply = court.readers.ask(before=str(source), after=str(after), erased=[0])
    assert reply == {"differences": [], "unreadable": {"hyparquet": ANY, "duckdb": ANY}}
    assert "error" in court.readers.ask(read=str(source))
    whole = FILES / "spark_users_snappy.parquet"
    assert court.readers.ask(read=str(whole)) == {"rows": ParquetFile(whole.read_bytes()).row_count}


# ---- finding -------------------------------------------------------------------------------------


def flat_columns(file):
    return [i for i, leaf in enumerate(file.leaves) if not leaf.max_repetition]


def wanted_of(file, column, rng):
    """Values to look for: some that are there, some that are not, some twice near to others."""
    found = [value for group in file.groups for value in group.chunks[column].present]
    wanted = rng.sample(found, min(len(found), 5))
    width = file.leaves[column].width
    wanted += [value[:-1] + bytes([value[-1] ^ 1]) for value in wanted[:2] if value]
    wanted.append(rng.randbytes(width or 12))
    return list(dict.fromkeys(wanted))


def check_scan(tool, path, file, rng):
    column = rng.choice(flat_columns(file))
    leaf = file.leaves[column]
    wanted = wanted_of(file, column, rng)
    truth = [(row, wanted.index(entries[0][2]))
             for row, entries in enumerate(file.rows(column)) if entries[0][2] in wanted]
    for words in ((), ("all",)):
        assert tool.scan(path, leaf.name, wanted, *words) == truth, \
            (str(path), leaf.name, [value.hex() for value in wanted], words)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_found_in_a_file_of_another_writer(tool, name):
    file = ParquetFile((FILES / name).read_bytes())
    rng = random.Random(name)
    for _ in range(4 if FULL else 2):
        check_scan(tool, FILES / name, file, rng)


def test_rows_are_found_in_a_file_that_is_drawn(tool):
    for seed in until(LOOP_S / 2):
        rng = random.Random(seed)
        draw = Draw(rng, odd=rng.random() < 0.5)
        path, file = tool.save(draw.data), ParquetFile(draw.data)
        for _ in range(3):
            check_scan(tool, path, file, rng)


# ---- some columns, and digests -------------------------------------------------------------------


def test_some_columns_of_a_file(court):
    for seed in until(LOOP_S / 3):
        rng = random.Random(seed)
        draw = Draw(rng, odd=rng.random() < 0.5)
        file, path = ParquetFile(draw.data), court.tool.save(draw.data)
        columns = rng.sample(flat_columns(file), rng.randint(1, len(flat_columns(file))))
        out = court.tool.path("project.parquet")
        status, _, why = court.tool.run("project", path, out,
                                        *[file.leaves[column].name for column in columns])
        assert status == 0, why
        projected = ParquetFile(out.read_bytes())
        assert projected.row_count == file.row_count
        assert len(projected.leaves) == len(columns)
        for column in columns:
            name = file.leaves[column].name
            ours = [[entry[2] for entry in row] for row in projected.rows(projected.leaf(name))]
            assert ours == [[entry[2] for entry in row] for row in file.rows(column)]
        for group in projected.groups:
            for chunk in group.chunks:
                assert 12 not in chunk.meta and 14 not in chunk.meta
                assert chunk.indexes() == (None, None)


def test_a_digest_is_that_of_the_rows_alone(tool):
    """The same rows in another style have the same; any other value, or place, has another."""
    for seed in until(LOOP_S / 3):
        draw = Draw(random.Random(seed), count=60)
        first = tool.digest(tool.save(draw.data))
        for _ in range(2):
            styles = {".".join(path): draw.style(node, True) for child in draw.children
                      for path, node in child.leaves()}
            shape = Shape(draw.groups(60), styles)
            again = forge(draw.children, draw.rows, shape, draw.rng)
            assert tool.digest(tool.save(again)) == first
        rows = list(draw.rows)
        rows[7], rows[31] = rows[31], rows[7]
        other = tool.digest(tool.save(forge(draw.children, rows, draw.shape, draw.rng)))
        changed = [a != b for a, b in zip(first.splitlines(), other.splitlines())]
        for is_other, leaf in zip(changed, ParquetFile(draw.data).leaves):
            column = ParquetFile(draw.data).leaf(leaf.name)
            entries = ParquetFile(draw.data).rows(column)
            assert is_other == (entries[7] != entries[31]), leaf.name


# ---- damage --------------------------------------------------------------------------------------


def damaged(data, rng):
    """The data with a byte flipped, a stretch lost, doubled or overwritten, or its end cut."""
    at = rng.randrange(len(data))
    how = rng.choice(["flip", "flip", "flip", "cut", "lose", "double", "zero", "footer"])
    if how == "footer":  # most of what can go wrong lies there
        at = max(len(data) - 1 - rng.randrange(min(len(data), 4000)), 0)
        how = "flip"
    if how == "flip":
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]
    if how == "cut":
        return data[:at]
    length = rng.randint(1, 9)
    if how == "lose":
        return data[:at] + data[at + length:]
    if how == "double":
        return data[:at] + data[at:at + length] * 2 + data[at + length:]
    return data[:at] + bytes(length) + data[at + length:]


def test_a_damaged_file_is_refused_or_rewritten_as_it_reads(tool):
    """No crash; and where our strict reader still reads the file, the rewrite has its rows."""
    small = [path for path in FILES.glob("*.parquet") if path.stat().st_size < 30000]
    judged = 0
    for seed in until(LOOP_S):
        rng = random.Random(seed)
        data = damaged(rng.choice(small).read_bytes(), rng) if rng.random() < 0.5 else \
            damaged(Draw(rng, odd=True, count=20).data, rng)
        source = tool.save(data, "damaged.parquet")
        try:
            count = ParquetFile(data).row_count
        except Exception:  # pylint: disable=broad-except
            count = None
        erased = draw_rows(rng, min(count or 20, 10**4))
        after, _ = tool.rewrite(source, erased)
        if after and count is not None:
            assert parquet_check.lost_rows(data, after.read_bytes(), erased) == []
            judged += 1
    print(f"{judged} of them judged")


@pytest.mark.parametrize("words", [
    ["rewrite", "none.parquet", "out", "rows"], ["show", "/dev/null"],
    ["scan", str(FILES / NAMES[0]), "nowhere", "/dev/null"],
])
def test_what_cannot_be_read_is_named(tool, words):
    status, _, why = tool.run(*words)
    assert status == 1 and (words[1] in why or words[2] in why), why
