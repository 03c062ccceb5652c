"""What a text is as a number or a date, and what stands in a JSON text, has to be the same on a Trino
server as on the embedded engine: each value of a table by each expression, cell by cell."""
import subprocess

import pytest
import trino as trino_server
from conftest import BUILD
from dsr_world import judge, literal, needs_engine

pytestmark = [needs_engine, pytest.mark.skipif(not trino_server.is_installed(),
                                               reason="Trino is not there")]

NUMBERS = (
    "1", "0", "-1", "+5", "-0", "--1", "1.7", "1.5", "2.5", "-2.5", "0.5", "-0.5", "1.49999", "1.",
    ".5", "-.5", "+.5", ".", "-", "+", "", "  ", "1e3", "1E3", "1.5e1", "1e-1", "5e-1", "1e+2",
    "1E+02", "0e0", "1e", "e1", ".e5", "1.e5", " 12 ", "\t12\n", "\x0b1\x0c", "1\r", "1\x1c",
    "\u00a01", "1\u00a0", "12x", "x", "1 2", "1,5", "1.2.3", "00012", "1d", "1f", "1.0D", "1L",
    "\uff11", "\u0661", "1e18", "1e19", "1e38", "1e308", "1e309", "1e-400", "1e5000",
    "1e99999999999", "NaN", "nan", "-NaN", "inf", "Infinity", "-inf", "+Infinity", "INF",
    "infinity", " inf ", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "9223372036854775807.4", "9223372036854775807.5",
    "-9223372036854775808.4", "2147483647", "2147483648", "2147483647.5", "-2147483648.5",
    "123456789012345678", "9007199254740993", "9007199254740993.0", "99999999.99", "999999999.99",
    "0.005", "-0.005", "0.015", "0.1", "12.3450", "123456789012345678901234567890",
    "0.0000000000000000000000000000001", "9" * 40, "true", "t", "null", "it's",
    # Of those that are written out the server would be busy for an hour.
    "1e400000000", "-1E+400000000", "1e-400000000", "1e9999", "-1e-9999", "1e0000000003",
    "1e-0000000003", "9" * 100000, "9" * 50000 + "x")
BOOLEANS = ("true", "TRUE", "True", "t", "T", "false", "F", "yes", "YES", "no", "y", "n", "1", "0",
            "2", "-1", "on", "off", "", " ", " true", "true ", "\tt", "null", "tru", "1.0")
DAYS = (
    "2026-01-01", "2026-1-1", "2026-01-1", "26-01-01", "0001-01-01", "9999-12-31", "2026-13-01",
    "2026-02-29", "2024-02-29", "2026-00-01", "2026-01-00", "2026/01/02", "2026/01-02", "20260101",
    "2026-01-011", "2026-01", "2026", " 2026-01-01", "2026-01-01x", "x2026-01-01", "", " ",
    "2026-01-01 10:11:12", "2026-01-01T10:11:12", "2026-01-01t10:11:12", "2026-01-01T10:11:12Z",
    "2026-01-01T10:11:12z", "2026-01-01T10:11:12.1", "2026-01-01T10:11:12.123456Z",
    "2026-01-01 10:11:12.1234567", "2026-01-01 10:11:12.123456999Z", "2026-01-01 10:11:12+02",
    "2026-01-01T10:11:12+02:00", "2026-01-01T10:11:12+0200", "2026-01-01T10:11:12 +02:00",
    "2026-01-01T10:11:12-11:30", "2026-01-01 10:11:12 UTC", "2026-01-01 10:11", "2026-01-01T10:11",
    "2026-1-2T1:2:3", "2026-01-01  10:11:12", "2026-01-01 10:11:12 ", "2026-01-01 25:00:00",
    "2026-01-01 10:60:00", "2026-01-01 10:11:60", "10:11:12", "2026-01-01T", "yesterday", "NaN")
# What DuckDB takes beyond what core/sql/presto.h promises.
OTHER = {
    "bigint": {"0.4999999999999999999", "1_000", "0x10", "0b1", "1e-10000", "0" * 1000 + "7"},
    "timestamp": {"26-01-01", "2026-01-01 24:00:00", "epoch", "infinity"},
}
CASTS = {"bigint": NUMBERS, "integer": NUMBERS, "double": NUMBERS, "decimal(10,2)": NUMBERS,
         "decimal(38, 0)": NUMBERS, "boolean": BOOLEANS, "date": DAYS, "timestamp": DAYS}

DOCUMENTS = (
    '{"a":1.50}', '{"a":1e3}', '{"a":12345678901234567890}', '{"a":123456789012345678901234567890}',
    '{"a":-0.0}', '{"a":-0}', '{"a":0.1}', '{"a":123456789.125}', '{"a":123456789.1250}',
    '{"a":12345678.0}', '{"a":12345678.00}', '{"a":0.001}', '{"a":0.0001}', '{"a":0.00001}',
    '{"a":1e400}', '{"a":1e-400}', '{"a":3.0}', '{"a":100.0}', '{"a":1.0E5}', '{"a":1.25e2}',
    '{"a":0.30000000000000004}', '{"a":9007199254740993}', '{"a":18446744073709551616}',
    '{"a":-9223372036854775809}', '{"a":true}', '{"a":false}', '{"a":null}', '{"a":"x"}',
    '{"a":""}', '{"a":"null"}', '{"a":"1.50"}', '{"a":"\\"q"}', '{"a":"E"}', '{"a":"1E9"}',
    '{"a":[1,2.50,{"z":1,"b":2}]}', '{"a":{"z":1, "b":[ ]}}', '{"a":{}}', '{"a":[]}',
    '{"a":{"k":1,"k":2}}', '{"a":1,"a":2}', '{"b":1}', '{"A":1}', '{"a":"\\t\\/\\n"}',
    '{"a":["\\t\\/é\\u00e9\\u0001"]}', '{"a":"x\\u00e9\\ud83d\\ude00"}', '{"a":"\\u0000"}',
    ' {"a":\n1 }\n', "null", "5", '"a"', "true", "[]", "{}", '[{"a":1}]',
    # Broken ones, some of them behind the place that is asked for.
    "", "  ", '{"a":tru', '{"a":1,"b":', '{"a":1', '{"a":1} x', '{"a":1} 2', '{"a":1}}',
    '{"a":1},{"a":2}', "{a:1}", "{'a':1}", '{"a":01}', '{"a":+1}', '{"a":1.}', '{"a":.5}',
    '{"a":"\\x"}', '{"a":"x\ty"}', '\ufeff{"a":1}', '{"a":1/*c*/}', '{"a" 1}', '{"a":1 "b":2}',
    "nul", "1 2", "1,2", "]", "[", "[1", "1]", "hello", '{"a":1}]', '{"a":1}],', '{"a":1}],[2',
    '{"a":1}],"b":[2', '1,"b":1', '{"a":1},', "1,0],0", "1],0", "1],0,0",
    # Deep ones, and numbers that no double holds.
    '{"a":' * 3000 + "1" + "}" * 3000, '{"b":' + "[" * 20000 + "]" * 20000 + ',"a":1}',
    '{"a":' + "[" * 20000 + "]" * 20000 + "}", '{"a":' + "[" * 20000, "[" * 20000,
    '{"a":1e400000000}', '{"a":1e-400000000}', '{"a":' + "9" * 1000 + "}",
    '{"a":' + "9" * 20000 + "}", '{"a":"' + "x" * 2000 + '"}')
TREE = ('{"a":{"b":[1,{"c":"x"}],"b c":2,"d-e":3,"q\'t":6,"k.l":7,"ž":8,"0":12},'
        '"x":null,"0":9,"l":[10,11],"o":{"p":null}}')
PATHS = ("$.a.b[0]", "$.a.b[1].c", '$.a."b c"', "$.a.d-e", '$.a."d-e"', "$.a.ž", '$.a."k.l"',
         "$.a.q't", "$.a.b[5]", "$.a.b[1]", "$.l[1]", "$.l", "$.a.b", '$."0"', "$.a.0", "$.x", "$",
         "$.a.b[0].z", "$.missing.b", "$.o.p", "$.o", "$.a.b c")


def expressions(*lines):
    """Expressions as the core writes them for the family."""
    asked = "".join("\t".join(line) + "\n" for line in lines)
    done = subprocess.run([BUILD / "test-servers" / "presto_texts"], input=asked, text=True,
                          capture_output=True, timeout=60, check=True)
    found = done.stdout.split("\n")[:-1]
    assert len(found) == len(lines)
    return found


def values(texts, cast="{}"):
    """A table v(i, t) of the texts in their order."""
    rows = ", ".join(f"({i}, {cast.format(literal(text))})" for i, text in enumerate(texts))
    return f"(VALUES {rows}) v(i, t) ORDER BY i"


def compare(trino, texts, of_engine, of_trino):
    wanted = judge(f"SELECT {of_engine} FROM {values(texts)}")
    found = trino.query(f"SELECT {of_trino} FROM {values(texts, 'CAST({} AS varchar)')}")
    assert {text: row for text, row in zip(texts, found)} == dict(zip(texts, wanted))


def same_double(values_of):
    """A double has another text here and there, so it is compared as what it is, to its last bit."""
    return [[None if row[0] is None else float(row[0])] for row in values_of]


@pytest.mark.parametrize("kind", CASTS)
def test_texts_are_cast_alike(trino, kind):
    texts = [text for text in CASTS[kind] if text not in OTHER.get(kind, ())]
    [written] = expressions(("cast", "t", kind))
    wanted = judge(f"SELECT CAST(try_cast(t AS {kind}) AS varchar) FROM {values(texts)}")
    found = trino.query(
        f"SELECT CAST({written} AS varchar) FROM {values(texts, 'CAST({} AS varchar)')}")
    if kind == "double":
        wanted, found = same_double(wanted), same_double(found)
    if kind == "timestamp":  # as many digits as it takes
        found = [[row[0] and row[0].rstrip("0").removesuffix(".")] for row in found]
        wanted = [[row[0] and (row[0] + ".").rstrip("0").rstrip(".") if "." in (row[0] or "")
                   else row[0]] for row in wanted]
    other = [(text, of_engine, of_trino) for text, [of_engine], [of_trino]
             in zip(texts, wanted, found) if repr(of_engine) != repr(of_trino)]
    assert other == []


@pytest.mark.parametrize("kind", OTHER)
def test_differences_are_those_that_are_promised(trino, kind):
    """Once Trino takes one of these as DuckDB does, the header is to be corrected."""
    texts = sorted(OTHER[kind])
    [written] = expressions(("cast", "t", kind))
    wanted = judge(f"SELECT CAST(try_cast(t AS {kind}) AS varchar) FROM {values(texts)}")
    found = trino.query(
        f"SELECT CAST({written} AS varchar) FROM {values(texts, 'CAST({} AS varchar)')}")
    for text, one, another in zip(texts, wanted, found):
        assert one != another, text


def test_what_is_no_text_is_cast_through_its_text(trino):
    casts = [("1e0 * 7", "bigint"), ("BIGINT '12'", "double"), ("DATE '2026-01-02'", "timestamp"),
             ("TIMESTAMP '2026-01-02 03:04:05'", "date"), ("DECIMAL '1.50'", "varchar"),
             ("TRUE", "boolean"), ("NULL", "integer")]
    written = expressions(*(("cast", *cast) for cast in casts))
    found = trino.query("SELECT " + ", ".join(f"CAST({one} AS varchar)" for one in written))
    assert found == [
        ["7", "12.0", "2026-01-02 00:00:00.000000", "2026-01-02", "1.50", "true", None]]


def test_a_type_that_is_none_is_an_error_there(trino):
    [written] = expressions(("cast", "'1'", "bigint); DROP TABLE t; --"))
    with pytest.raises(Exception, match="not a column type: bigint"):
        trino.query(f"SELECT {written}")


def test_json_is_read_alike(trino):
    text, valid = expressions(("json_text", "t", "$.a"), ("json_valid", "t"))
    compare(trino, DOCUMENTS, "try(json_extract_string(t, '$.a')), json_valid(t)", f"{text}, {valid}")
    assert trino.query(f"SELECT {text}, {valid} FROM (VALUES CAST(NULL AS varchar)) v(t)") == [
        [None, None]]


def test_paths_lead_to_the_same_places(trino):
    written = expressions(*(("json_text", "t", path) for path in PATHS))
    wanted = judge("SELECT " + ", ".join(f"json_extract_string(t, {literal(path)})"
                                         for path in PATHS) + f" FROM {values([TREE])}")
    found = trino.query(f"SELECT {', '.join(written)} FROM {values([TREE], 'CAST({} AS varchar)')}")
    assert dict(zip(PATHS, found[0])) == dict(zip(PATHS, wanted[0]))


def test_bytes_come_as_hex(trino):
    [written] = expressions(("hex", "t"))
    texts = ("", "a", "Ab", "é", "\U0001f600", "it's", "\n\t\x7f")
    compare(trino, texts, "lower(hex(t))", written)
