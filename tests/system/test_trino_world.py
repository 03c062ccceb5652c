"""The Trino server that tests use, where it is there: with 'tests/run --interop'. What tests rely on,
and what is written in support/trino.py, so that another release that does otherwise is noticed here."""
import os
import socket

import pytest
import trino as trino_server
from trino_client import TrinoClient, TrinoError

pytestmark = pytest.mark.skipif(not trino_server.is_installed(), reason="Trino is not there")

ROWS = "SELECT n AS id, 'user ' || CAST(n AS varchar) AS name FROM UNNEST(sequence(1, 10)) t(n)"


@pytest.fixture(params=["hive", "hive_s3"])
def place(request, trino, tmp_path):
    """Each of the catalogs for tables of files, a new schema in it, and where its files may be."""
    if request.param == "hive":
        root = f"file://{tmp_path}"
    else:
        root = f"s3://{request.getfixturevalue('bucket')}"
    with trino.schema(request.param) as schema:
        yield Place(trino, request.param, schema, root)


class Place:
    def __init__(self, server, catalog, schema, root):
        self.server, self.catalog, self.schema, self.root = server, catalog, schema, root

    def ask(self, sql, **session):
        return self.server.ask(sql.format(root=self.root), self.catalog, self.schema, **session)

    def query(self, sql, **session):
        return self.ask(sql, **session).rows

    def put(self, name, data):
        if self.catalog == "hive":
            path = self.root.removeprefix("file://") + "/" + name
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        else:
            self.server.s3.s3().put_object(Bucket=self.root[5:], Key=name, Body=data)

    def names(self):
        """What there is, but for the sums that later releases leave in local folders."""
        if self.catalog == "hive":
            root = self.root.removeprefix("file://")
            return sorted(os.path.relpath(os.path.join(folder, name), root)
                          for folder, _, names in os.walk(root) for name in names
                          if not name.endswith(".crc"))
        found = self.server.s3.s3().list_objects_v2(Bucket=self.root[5:]).get("Contents", [])
        return sorted(one["Key"] for one in found)

    def path(self, name):
        """As "$path" has it: with one slash, if it is a local file's and the release is an old one."""
        slashes = "file:///" if trino_server.version() >= 400 else "file:/"
        return f"{self.root}/{name}".replace("file:///", slashes)


def refused(place, sql, **session):
    with pytest.raises(TrinoError) as caught:
        place.query(sql, **session)
    return caught.value


def test_a_table_of_parquet_is_written_and_read(place):
    made = place.ask(f"CREATE TABLE t WITH (external_location = '{{root}}/t', format = 'PARQUET') "
                     f"AS {ROWS}", **{f"{place.catalog}__compression_codec": "ZSTD"})
    assert (made.update_type, made.update_count) == ("CREATE TABLE", 10)
    (name,) = place.names()
    assert place.query('SELECT DISTINCT "$path" FROM t') == [[place.path(name)]]
    assert place.query("SELECT name FROM t WHERE id = 7") == [["user 7"]]

    error = refused(place, "CREATE TABLE u WITH (external_location = '{root}/t') AS SELECT 1 AS a")
    assert error.name == "HIVE_PATH_ALREADY_EXISTS"
    place.query("DROP TABLE t")
    assert place.names() == [name]  # they are not Trino's


def test_partitions_are_found_in_folders(place):
    for day in ("2026-01-01", "2026-01-02"):
        place.put(f"events/day={day}/a.json", b'{"id": 1, "more": {"x": [1, 2]}}\n{"id": 2}\n')
        place.put(f"events/day={day}/_ignored.json", b"no JSON")
    place.query("CREATE TABLE e (id bigint, more row(x array(bigint)), day varchar) WITH "
                "(external_location = '{root}/events', format = 'JSON', "
                "partitioned_by = ARRAY['day'])")
    assert place.query("SELECT count(*) FROM e") == [[0]]
    place.query(f"CALL system.sync_partition_metadata('{place.schema}', 'e', 'FULL')")
    assert place.query("SELECT day, id, more.x FROM e WHERE day > '2026-01-01' ORDER BY id") == [
        ["2026-01-02", 1, [1, 2]], ["2026-01-02", 2, None]]

    place.query(f"CALL system.unregister_partition('{place.schema}', 'e', ARRAY['day'], "
                "ARRAY['2026-01-01'])")
    place.query(f"CALL system.register_partition('{place.schema}', 'e', ARRAY['day'], "
                "ARRAY['2026-01-01'], '{root}/events/day=2026-01-02')")
    assert place.query('SELECT "$path", count(*) FROM e WHERE day = \'2026-01-01\' GROUP BY 1') == [
        [place.path("events/day=2026-01-02/a.json"), 2]]


def test_files_are_left_out_by_their_names(place):
    place.query(f"CREATE TABLE t WITH (external_location = '{{root}}/t', format = 'PARQUET') "
                f"AS {ROWS}")
    odd = "t/it's %41 ž"
    place.put(odd, b"This is no Parquet.")
    assert refused(place, "SELECT sum(id) FROM t").name == "HIVE_BAD_DATA"
    literal = place.path(odd).replace("'", "''")
    assert place.query(f"SELECT sum(id) FROM t WHERE \"$path\" NOT IN ('{literal}')") == [[55]]


@pytest.mark.parametrize("place", ["hive"], indirect=True)
def test_there_is_a_limit_of_partitions_that_are_written_at_once(place):
    sql = ("CREATE TABLE t WITH (external_location = '{{root}}/t', format = 'PARQUET', "
           "partitioned_by = ARRAY['p']) AS SELECT n AS a, n AS p FROM UNNEST(sequence(1, {})) u(n)")
    # For each of the writers, of which later releases have several.
    assert refused(place, sql.format(1000)).name == "HIVE_TOO_MANY_OPEN_PARTITIONS"


def test_a_file_may_be_replaced_by_others(place):
    """As dsr does: there are no sums of Trino's beside its files, by which another is refused."""
    if place.catalog == "hive" and trino_server.version() >= 400:
        pytest.skip("later releases leave sums in local folders")
    for name in ("a", "b"):
        place.query(f"CREATE TABLE {name} WITH (external_location = '{{root}}/{name}', "
                    f"format = 'TEXTFILE') AS SELECT CAST('{name}' AS varchar) AS line", **{
                        f"{place.catalog}__compression_codec": "NONE"})
    (name,) = [name for name in place.names() if name.startswith("a/")]
    place.put(name, b"somebody else's\n")
    assert place.query("SELECT line FROM a") == [["somebody else's"]]


def test_iceberg(trino):
    with trino.schema("iceberg") as schema:
        made = trino.ask(f"CREATE TABLE t WITH (format = 'PARQUET') AS {ROWS}", "iceberg", schema)
        assert made.update_count == 10
        assert trino.query("SELECT sum(id) FROM t", "iceberg", schema) == [[55]]


def test_values_of_the_protocol(trino):
    found = trino.ask("SELECT 9007199254740993, DECIMAL '1.10', nan(), X'00FF', "
                      "TIMESTAMP '2026-01-01 10:00:00.123456', ARRAY[1, NULL], MAP(ARRAY['k'], "
                      "ARRAY[1]), CAST(NULL AS bigint), U&'\\017E\\0000'")
    assert found.rows == [[9007199254740993, "1.10", "NaN", "AP8=", "2026-01-01 10:00:00.123456",
                           [1, None], {"k": 1}, None, "ž\0"]]
    assert [kind.replace(" ", "") for _, kind in found.columns][:5] == [
        "bigint", "decimal(3,2)", "double", "varbinary", "timestamp(6)"]
    many = trino.ask("SELECT orderkey, comment FROM orders", "tpch", "tiny")
    assert len(many.rows) == 15000 and many.pages > 3
    with pytest.raises(TrinoError) as caught:
        trino.query("SELECT 1 / 0")
    assert caught.value.name == "DIVISION_BY_ZERO"


def test_a_session_that_is_not_known_is_an_error(trino):
    with pytest.raises(TrinoError) as caught:
        trino.query("SELECT 1", hive__nothing_like_it="1")
    assert caught.value.name == "INVALID_SESSION_PROPERTY"


def test_who_may_come_to_the_secured_one(trino_tls):
    user, password = trino_server.USER
    assert trino_tls.query("SELECT current_user") == [[user]]
    by_token = trino_tls.client(user=user, token=trino_server.token())
    assert by_token.query("SELECT current_user") == [[user]]
    assert trino_tls.query("SHOW SCHEMAS", "hive_s3")
    for options in ({"login": (user, password + "x")}, {"login": ("nobody", password)},
                    {"token": trino_server.token(lifetime_s=-600)},
                    {"token": trino_server.token() + "x"}, {}):
        client = TrinoClient(trino_tls.url, authority=trino_tls.authority, **options)
        status, _, _ = client.request("POST", f"{trino_tls.url}/v1/statement", b"SELECT 1")
        assert status == 401, options


def test_nobody_comes_to_the_secured_one_in_plain_text(trino_tls):
    url = f"http://127.0.0.1:{trino_tls.port}"
    client = TrinoClient(url, login=trino_server.USER)
    status, _, _ = client.request("POST", f"{url}/v1/statement", b"SELECT 1")
    assert status in (401, 403)


def test_it_listens_on_this_machine_alone(trino):
    port = int(trino.url.rpartition(":")[2])
    for *_, address in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET):
        if not address[0].startswith("127."):
            with pytest.raises(OSError):
                socket.create_connection(address, 5).close()
