"""The files that queries write on SQL engines elsewhere, read by the embedded engine's own client: on
Trino over local files and over buckets, and on Athena's stand-in, which hands the SQL to Trino."""
import pytest
import trino as trino_server
from test_trino_tables import duck, place  # noqa: F401, fixtures

pytestmark = pytest.mark.skipif(not trino_server.is_installed(), reason="Trino is not there")

NUMBERS = "FROM UNNEST(sequence(1, {count})) t(n)"
OLD = b"what was there before"


def write(place, query, to, partition=None, status=0):
    config = ["query: '" + query.replace("'", "''") + "'", f"to: '{place.root}/{to}'"]
    config += [f"partition: {partition}"] if partition else []
    lines = "".join(f"      {line}\n" for line in config)
    place.world.config(f"jobs:\n  w:\n    plugin: table\n    config:\n{lines}", "w.yaml")
    result = place.world.run("run", "w", timeout=300)
    assert result.status == status, result.text
    return result.text


def read(place, duck, folder, query):  # noqa: F811
    """What the query gives over the files of a folder, fetched from where they are."""
    root = place.world.root / "lake"
    if place.bucket:
        root = place.world.root / "fetched"
        for name in place.names(folder):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(place.s3.get_object(Bucket=place.bucket, Key=name)["Body"].read())
    return duck.query(f"{query} FROM read_parquet('{root}/{folder}**/*.parquet', "
                      "hive_partitioning = true)")


def test_more_partitions_than_a_statement_takes(place, duck):  # noqa: F811
    place.put("out/day=0/old.parquet", OLD)
    write(place, "SELECT n AS id, n % 130 AS \"Day\", 'x' AS name " + NUMBERS.format(count=1000),
          "out/", "Day")
    names = place.names("out/")
    assert len(names) == 130
    assert all(name.startswith("out/Day=") for name in names)
    assert read(place, duck, "out/", 'SELECT count(*), sum(id), sum("Day"), count(DISTINCT "Day")'
                ) == [("1000", "500500", str(sum(n % 130 for n in range(1, 1001))), "130")]


def test_a_write_replaces_all_or_nothing(place, duck):  # noqa: F811
    write(place, "SELECT n AS id " + NUMBERS.format(count=10), "out/")
    first = place.names("out/")
    assert read(place, duck, "out/", "SELECT count(*), sum(id)") == [("10", "55")]
    write(place, "SELECT n / 0 AS id " + NUMBERS.format(count=10), "out/", status=1)
    assert place.names("out/") == first
    write(place, "SELECT n AS id " + NUMBERS.format(count=5), "out/")
    assert not set(first) & set(place.names("out/"))
    write(place, "SELECT n AS id " + NUMBERS.format(count=5) + " WHERE n > 9", "out/")
    assert place.names("out/") == []


def test_values_come_back(place, duck):  # noqa: F811
    write(place, "SELECT 'it''s é' AS a, CAST(NULL AS bigint) AS b, 1.5e0 AS c, TRUE AS d, "
          "DATE '2026-01-02' AS e, CAST(1.25 AS decimal(10,2)) AS f, 'a b/%:=' AS k", "out/", "k")
    assert read(place, duck, "out/", "SELECT a, b, c, d, CAST(e AS varchar), CAST(f AS varchar), k"
                ) == [
        ("it's é", None, "1.5", "true", "2026-01-02", "1.25", "a b/%:=")]
