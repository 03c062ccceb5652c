"""What dsr is given to erase: ids of every kind and a great many of them, markers that are none by
the thousand, and files that are damaged or no data."""
import os

import pytest
# The fixtures are found by their names.
from dsr_checker import Checker, hashed
from dsr_world import (DAYS, Dsr, Folder, judge, literal, needs_engine, on_ceph,  # noqa: F401
                       pond_made, user)

pytestmark = needs_engine

FULL = bool(os.environ.get("RUN_CORE_FULL"))
DAY = DAYS[0]


@pytest.fixture
def dsr(world_in_memory, pond_made):  # noqa: F811
    return Dsr(world_in_memory, pond_made)


# ---- ids -----------------------------------------------------------------------------------------


def blob(data):
    return f"unhex('{data.hex()}')"


def encoded(who):
    return who.encode("utf-8", "surrogateescape")


# All of them name the same kind of thing to people who write careless programs.
IDS = [
    "'; DROP TABLE users; --", "' OR '1'='1", 'say "hello"', "`id`", "$(id)", "back\\slash",
    "two\nlines", "tab\tand\rreturn", "\x01\x7f", " spaces ", "per%20cent%", "%2F%2e%2e", "a+b&c=d",
    "?query#fragment", "*", "[ab]", "{x}", "naïve", "žluťoučký", "日本語", "𝒳🧑‍🚀", "\u202eright",
    "e\u0301", "é", "NULL", "null", "0", "-1", "a", "ab", "abc", "_user_x", "x_day_2026-01-01",
    "_day_", "_day_2026-02-01_day_2026-02-01", "shard=3", "..", ".", "-", "--set", "~", "a\\0b",
    *(data.decode("utf-8", "surrogateescape")
      for data in (b"\xff\xfe\xfd", b"half \xc3", b"\xed\xa0\x80")),
]
# Of each somebody else's: none of them may go.
OTHERS = [name for who in IDS for name in (who + "x", "x" + who, who[:-1], who.swapcase())
          if name not in IDS] + ["abcd", "b", ""]


def write_ids(folder, ids, others):
    """A file of ids as bytes and, where they are text, one of texts; NULLs between them."""
    names = {}
    everybody = [*map(encoded, ids), *map(encoded, others)]
    texts = [data for data in everybody if data.decode("utf-8", "replace").encode() == data]
    for name, some, kind in (("bytes.parquet", everybody, "BLOB"), ("texts.parquet", texts, None)):
        place = folder / f"odd/shard=3/day={DAY}"
        place.mkdir(parents=True, exist_ok=True)
        values = ", ".join(f"({n}, {blob(data)})" for n, data in enumerate(some))
        id_of = "id" if kind else "decode(id)"
        judge(f"COPY (SELECT CASE WHEN r.i % 3 = 2 THEN NULL ELSE {id_of} END AS id, "
              f"n * 10 + r.i AS number FROM (VALUES {values}) v(n, id), range(6) r(i) ORDER BY n, r.i) TO "
              f"{literal(place / name)} (FORMAT parquet, ROW_GROUP_SIZE 2048); SELECT 1;")
        names[place / name] = {n for n, data in enumerate(some) if data in
                               {encoded(who) for who in ids}}
    return names


def check_ids(dsr, files):
    """Of each file the rows of other users and of nobody are there, in order."""
    for path, gone in files.items():
        old = dsr.before / path.relative_to(dsr.data.root)
        before = [int(n) for n, in judge(f"SELECT number FROM read_parquet({literal(old)})")]
        after = [int(n) for n, in judge(f"SELECT number FROM read_parquet({literal(path)})")]
        assert after == [n for n in before if n // 10 not in gone or n % 10 % 3 == 2]
        assert 0 < len(after) < len(before)


def test_ids_of_every_kind(dsr):
    longest = [letter * 234 for letter in "xyz"]
    ids = [*IDS, *longest]
    others = [*OTHERS, "x" * 233, "x" * 235, "y" * 233 + "z"]
    files = write_ids(dsr.data.root, ids, others)
    dsr.tables = {"odd": {"userIdColumn": "id"}}
    for who in ids:
        name = f"shard=3/day={DAY}/_user_{who}_day_2026-02-01"
        dsr.markers.put(name)
    marked = dsr.markers.names()
    dsr.run()
    check_ids(dsr, files)
    assert dsr.markers.names() == [] and dsr.archived() == marked
    dsr.check_nothing_left()
    lines = {line["user"]: line["rows"] for line in dsr.records()}
    assert set(lines) == {hashed(encoded(who)) for who in ids} and min(lines.values()) >= 4


def test_ids_of_every_kind_in_a_bucket(world, pond_made, ceph, bucket, tmp_path):  # noqa: F811
    """Markers are objects there: with slashes in their ids, and longer."""
    dsr = on_ceph(world, pond_made, ceph, bucket)
    ids = [who for who in IDS if encoded(who).decode("utf-8", "replace") == who
           and not any(ord(letter) < 32 or letter == "\x7f" for letter in who)]
    ids += ["../../other", "a/b", "/leading", "trailing/", "//", "long" * 225]
    files = write_ids(tmp_path, ids, [*OTHERS, "a", "b", "long" * 224])
    dsr.tables = {"odd": {"userIdColumn": "id"}}
    dsr.data.fill(tmp_path)
    dsr.mark(3, DAY, *ids)
    marked = dsr.markers.names()
    dsr.run()
    local = Folder(world.root / "lake")
    dsr.data.copy_to(local.root)
    dsr.data = local
    check_ids(dsr, {local.root / path.relative_to(tmp_path): gone for path, gone in files.items()})
    assert dsr.markers.names() == [] and dsr.archived() == marked
    assert {line["user"] for line in dsr.records()} == {hashed(who) for who in ids}


def test_a_great_many_users(dsr):
    count = 1000000 if FULL else 10000
    place = dsr.data.root / f"many/shard=3/day={DAY}"
    place.mkdir(parents=True)
    # Every user has two rows; every other one goes.
    judge(f"COPY (SELECT 'user ' || (i // 2) AS id, i AS number FROM range({4 * count}) r(i)) TO "
          f"{literal(place / 'a.parquet')} (FORMAT parquet, COMPRESSION zstd); SELECT 1;")
    folder = dsr.markers.root / f"shard=3/day={DAY}"
    folder.mkdir(parents=True)
    for n in range(count):
        os.close(os.open(f"{folder}/_user_user {2 * n}_day_2026-02-01", os.O_CREAT | os.O_WRONLY))
    dsr.tables = {"many": {"userIdColumn": "id"}}
    dsr.configure()
    result = dsr.world.run("dsr", "cleanup", "--json", timeout=1500)
    assert result.status == 0, result.stderr
    counters = result.final["counters"]
    assert (counters["users"], counters["rows_deleted"]) == (count, 2 * count)
    ((wrong, rows),) = judge(
        f"SELECT count(*) FILTER (number // 2 % 2 = 0), count(*) FROM (SELECT number FROM "
        f"read_parquet({literal(place / 'a.parquet')}))")
    assert (int(wrong), int(rows)) == (0, 2 * count)
    assert list(folder.glob("*")) == []
    assert len(list(dsr.archive.root.glob(f"shard=3/day={DAY}/*"))) == count
    lines = dsr.records()
    assert len(lines) == len({line["user"] for line in lines}) == count
    assert {line["rows"] for line in lines} == {2}


# ---- markers that are none -----------------------------------------------------------------------


def malformed(rng, number):
    who = f"x{number}"
    return rng.choice([
        f"shard=3/day=2026-02-30/_user_{who}_day_2026-02-01",
        f"shard=3/day=2026-1-1/_user_{who}_day_2026-02-01",
        f"shard=3/day=/_user_{who}_day_2026-02-01",
        f"shard=3/{DAY}/_user_{who}_day_2026-02-01",
        f"shard=3/_user_{who}_day_2026-02-01",
        f"shard=3/day={DAY}/deeper/_user_{who}_day_2026-02-01",
        f"shard=3/day={DAY}/_user_{who}_day_2026-02-31",
        f"shard=3/day={DAY}/_user_{who}_day_2026-02-01.tmp",
        f"shard=3/day={DAY}/_user_{who}_day_20260201",
        f"shard=3/day={DAY}/_user_{who}",
        f"shard=3/day={DAY}/_user_{who}_day_",
        f"shard=3/day={DAY}/_User_{who}_day_2026-02-01",
        f"shard=3/day={DAY}/user_{who}_day_2026-02-01",
        f"shard=3/day={DAY}/{who}",
        f"shard=03/day={DAY}/_user_{who}_day_2026-02-01",
        f"shard=-1/day={DAY}/_user_{who}_day_2026-02-01",
        f"shard=/day={DAY}/_user_{who}_day_2026-02-01",
        f"shard=99999999999/day={DAY}/_user_{who}_day_2026-02-01",
        f"Shard=3/day={DAY}/_user_{who}_day_2026-02-01",
        f"day={DAY}/_user_{who}_day_2026-02-01",
        f"_user_{who}_day_2026-02-01",
        f"readme-{number}.txt",
    ])


def test_ten_thousand_markers_that_are_none(dsr, rng):
    bad = {malformed(rng, n) for n in range(10000)}
    bad.add(f"shard=3/day={DAY}/_user__day_2026-02-01")
    for name in bad:
        dsr.markers.put(name)
    for name in (f"shard=3/day={DAY}/.hidden", ".hidden",
                 f".hid/day={DAY}/_user_a_day_2026-02-01"):
        dsr.markers.put(name)
    left = dsr.markers.names()
    dsr.mark(3, DAY, user(3, 1))
    result = dsr.run("cleanup", "--json", status=1)
    assert result.final["counters"]["markers_malformed"] == len(bad)
    assert f"{len(bad)} objects among the markers are no markers" in result.final["error"]
    assert len(result.messages) < 200
    dsr.check({3: ([user(3, 1)], DAY, DAY)})
    assert dsr.markers.names() == left and len(dsr.archived()) == 1


# ---- files that are damaged, or no data ----------------------------------------------------------


def encrypted(folder, footer):
    path = folder / "encrypted"
    judge("SET force_mbedtls_unsafe = 'true'; "
          "PRAGMA add_parquet_key('k', '0123456789112345'); COPY (SELECT 'user-3-1' AS id, i FROM "
          f"range(100) r(i)) TO {literal(path)} (FORMAT parquet, ENCRYPTION_CONFIG {{footer_key: "
          "'k'}); SELECT 1;")
    data = path.read_bytes()
    assert data[:4] == data[-4:] == b"PARE"
    return b"PAR1" + data[4:-4] + b"PAR1" if footer == "said to be plain" else data


def damaged(kind, whole, folder, rng):
    length = int.from_bytes(whole[-8:-4], "little")
    footer = len(whole) - 8 - length
    pages = bytearray(whole)
    if kind == "garbage":
        return b"PAR1" + rng.randbytes(5000) + b"PAR1"
    if kind == "zeros":
        return b"PAR1" + bytes(5000) + b"PAR1"
    if kind == "short":
        return b"PAR1" + bytes(4) + b"PAR1"
    if kind == "a footer that is too long":
        return whole[:-8] + (len(whole) * 2).to_bytes(4, "little") + b"PAR1"
    if kind == "a footer that is too short":
        return whole[:-8] + (length // 2).to_bytes(4, "little") + b"PAR1"
    if kind == "bytes are missing":
        return whole[:footer // 2] + whole[footer // 2 + 500:]
    if kind == "pages are noise":
        pages[100:footer - 100] = rng.randbytes(footer - 200)
        return bytes(pages)
    if kind == "the footer is noise":
        pages[footer + 20:-8] = rng.randbytes(length - 20)
        return bytes(pages)
    if kind == "encrypted":
        return encrypted(folder, "as it is")
    return encrypted(folder, "said to be plain")


KINDS = ("garbage", "zeros", "short", "a footer that is too long", "a footer that is too short",
         "bytes are missing", "pages are noise", "the footer is noise", "encrypted",
         "encrypted, but it seems")


def test_files_that_cannot_be_read_fail_their_shards_alone(dsr, tmp_path, rng):
    """Beside each of them is a file that can, in a shard of their own."""
    whole = dsr.data.get(f"users/shard=3/day={DAY}/part-0.parquet")
    broken, users = {}, [user(3, n) for n in (1, 2, 3)]
    for shard, kind in enumerate(KINDS, 20):
        name = f"users/shard={shard}/day={DAY}/deeper/broken.parquet"
        broken[name] = damaged(kind, whole, tmp_path, rng)
        dsr.data.put(name, broken[name])
        dsr.data.put(f"users/shard={shard}/day={DAY}/whole.parquet", whole)
        dsr.mark(shard, DAY, *users)
    failing = dsr.markers.names()
    dsr.mark(3, DAY, *users)
    marked = dsr.markers.names()
    result = dsr.run("cleanup", "--json", status=1)
    told = [message["message"] for message in result.messages if message["level"] == "error"]
    for name, kind in zip(broken, KINDS):
        assert [text for text in told if name in text], (kind, result.text)
        assert dsr.data.get(name) == broken[name], kind
    assert result.final["counters"]["shards_failed"] == len(KINDS)
    erased = {shard: (users, DAY, DAY) for shard in (3, *range(20, 20 + len(KINDS)))}
    dsr.check(erased, unchecked=broken)
    assert dsr.markers.names() == failing
    assert dsr.archived() == [name for name in marked if name not in failing]

    # Without them all is well.
    for name in broken:
        dsr.data.remove(name)
    dsr.run()
    found = dsr.check(erased, unchecked=broken)
    dsr.check_nothing_left()
    assert dsr.markers.names() == [] and dsr.archived() == marked
    assert sum(line["rows"] for line in dsr.records()) == found["rows"]


def test_what_is_no_parquet_is_left_alone(dsr, rng):
    whole = dsr.data.get(f"users/shard=3/day={DAY}/few")
    place = f"users/shard=3/day={DAY}/"
    for name, data in (
            ("empty", b""), ("empty.parquet", b""), ("four", b"PAR1"), ("eight", b"PAR1PAR1"),
            ("eleven", b"PAR1abcPAR1"),
            ("cut.parquet", whole[:-1]), ("cut at front.parquet", whole[1:]),
            ("noise", rng.randbytes(99)),
            ("rows.csv", b"id\nuser-3-1\n"), ("deeper/and/deeper/rows.json", b'{"id": "user-3-1"}'),
            ("zipped.parquet.gz", b"\x1f\x8b" + whole), (".hidden.crc", b"crc")):
        dsr.data.put(place + name, data)
    judge(f"COPY (SELECT 'x' AS id, 1 AS i WHERE false) TO "
          f"{literal(dsr.data.root / place / 'no rows.parquet')} (FORMAT parquet); SELECT 1;")
    dsr.mark(3, DAY, user(3, 1), user(3, 2), user(3, 3))
    checker = Checker(dsr, {3: ([user(3, n) for n in (1, 2, 3)], DAY, DAY)})
    result = dsr.run()
    checker.end()
    assert "cut.parquet" in result.text and "rows.csv" not in result.text
