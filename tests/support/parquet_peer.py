"""Judges and writes Parquet files by pyarrow or by Spark: 'parquet_peer.py pyarrow|spark', in a Python
that has them. Takes requests from stdin, a line of JSON each, and answers each with one:

    {before, after, erased}   {differences}, and {unreadable} where it cannot read 'before' itself
    {write, seed}             {written}: a file in a way drawn by the seed, of rows drawn likewise"""
import datetime
import decimal
import json
import os
import random
import shutil
import sys
import tempfile


def users(rng, count):
    """Rows of a dump of users, as dicts."""
    now = datetime.datetime(2024, 5, 17, 12, 30, 15, 123456)

    def maybe(value):
        return None if rng.random() < 0.15 else value
    for i in range(count):
        one = f"{rng.getrandbits(64):016x}"
        yield {
            "id": maybe(one), "json": maybe(json.dumps({"user": one})), "serial": i,
            "country": maybe(rng.choice(["CZ", "DE", "FR"])),
            "created": maybe(now + datetime.timedelta(seconds=rng.randint(0, 10**8))),
            "day": maybe(now.date() - datetime.timedelta(days=rng.randint(0, 9000))),
            "score": maybe(rng.choice([1.5, -0.0, 0.0, float("nan"), float("inf")])),
            "amount": maybe(decimal.Decimal(rng.randint(-10**8, 10**8)) / 100),
            "wide": maybe(decimal.Decimal(rng.randint(-10**18, 10**18)) / 10**10),
            "active": maybe(rng.random() < 0.5),
            "blob": maybe(bytearray(rng.randbytes(rng.randint(0, 20)))),
            "tags": maybe([maybe(f"tag-{rng.randint(0, 9)}") for _ in range(rng.randint(0, 4))]),
            "attributes": maybe({f"key-{k}": maybe(rng.randint(0, 10**6))
                                 for k in range(rng.randint(0, 3))}),
            "address": maybe({"city": maybe(f"city of {one}"), "x": rng.random()}),
        }


class Arrow:
    """pyarrow: values, schema and metadata."""

    def __init__(self):
        import pyarrow
        import pyarrow.parquet
        self.arrow, self.parquet = pyarrow, pyarrow.parquet

    def read(self, path):
        # Nanoseconds have no text without pandas; the bytes are judged elsewhere.
        table = self.parquet.ParquetFile(path, coerce_int96_timestamp_unit="us").read()
        table.validate(full=True)
        return table

    def compare(self, before, after, erased):
        try:
            old = self.read(before)
        except (OSError, NotImplementedError, self.arrow.ArrowException) as error:
            return {"differences": [], "unreadable": str(error)}
        new, gone = self.read(after), set(erased)
        kept = old.take(self.arrow.array([i for i in range(old.num_rows) if i not in gone],
                                         self.arrow.int64()))
        found = []
        if not new.schema.equals(old.schema, check_metadata=True):
            found.append(f"the schema {old.schema} is now {new.schema}")
        if new.num_rows != kept.num_rows:
            return {"differences": [f"{new.num_rows} rows instead of {kept.num_rows}"]}
        for name, a, b in zip(old.column_names, kept.columns, new.columns):
            # Through text, in which NaN is itself and the zeros are two.
            if not a.combine_chunks().equals(b.combine_chunks()) and repr(a.to_pylist()) != \
                    repr(b.to_pylist()):
                found.append(f"'{name}' differs")
        first, second = (self.parquet.ParquetFile(path, page_checksum_verification=True)
                         for path in (before, after))
        if first.metadata.metadata != second.metadata.metadata or \
                first.metadata.created_by != second.metadata.created_by or \
                not first.schema.equals(second.schema):
            found.append("the metadata differ")
        second.read()
        return {"differences": found}

    def write(self, path, seed):
        rng = random.Random(seed)
        count = rng.choice([1, 40, 500])
        rows = list(users(rng, count))
        table = self.arrow.table({name: [list(row[name].items()) if isinstance(row[name], dict) and
                                         name == "attributes" else row[name] for row in rows]
                                  for name in rows[0]}, schema=self.schema())
        self.parquet.write_table(
            table, path, compression=rng.choice(["none", "snappy", "gzip", "brotli", "zstd", "lz4"]),
            use_dictionary=rng.choice([True, False, ["country", "id"]]),
            data_page_version=rng.choice(["1.0", "2.0"]), row_group_size=rng.choice([7, 100, 1000]),
            data_page_size=rng.choice([50, 500, 1 << 20]), write_batch_size=rng.choice([3, 1024]),
            dictionary_pagesize_limit=rng.choice([100, 1 << 20]),
            write_statistics=rng.choice([True, False, ["id"]]),
            write_page_index=rng.random() < 0.5, write_page_checksum=rng.random() < 0.5,
            use_deprecated_int96_timestamps=rng.random() < 0.3,
            use_compliant_nested_type=rng.random() < 0.7,
            store_decimal_as_integer=rng.random() < 0.5, store_schema=rng.random() < 0.5)

    def schema(self):
        pa = self.arrow
        return pa.schema([
            ("id", pa.string()), ("json", pa.string()), ("serial", pa.int64()),
            ("country", pa.string()), ("created", pa.timestamp("us")), ("day", pa.date32()),
            ("score", pa.float64()), ("amount", pa.decimal128(9, 2)),
            ("wide", pa.decimal128(38, 10)), ("active", pa.bool_()), ("blob", pa.binary()),
            ("tags", pa.list_(pa.string())), ("attributes", pa.map_(pa.string(), pa.int64())),
            ("address", pa.struct([("city", pa.string()), ("x", pa.float64())]))])


class Spark:
    """Spark on this machine: rows and schema by parquet-mr, vectorised and not."""

    def __init__(self):
        from pyspark.sql import SparkSession
        self.out, quiet = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)  # answers alone go to stdout
        self.spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false") \
            .config("spark.driver.host", "127.0.0.1").config("spark.log.level", "OFF") \
            .config("spark.driver.bindAddress", "127.0.0.1") \
            .config("spark.sql.session.timeZone", "UTC").getOrCreate()
        os.dup2(self.out, 1)

    def rows(self, path, vectorised):
        self.spark.conf.set("spark.sql.parquet.enableVectorizedReader", vectorised)
        frame = self.spark.read.parquet(path)
        return frame.schema.json(), [repr(row) for row in frame.collect()]

    def compare(self, before, after, erased):
        found, gone = [], set(erased)
        for vectorised in ("true", "false"):
            try:
                schema, rows = self.rows(before, vectorised)
            except Exception as error:  # whatever the JVM says
                return {"differences": [], "unreadable": str(error)[:300]}
            new_schema, new_rows = self.rows(after, vectorised)
            if schema != new_schema:
                found.append(f"the schema {schema} is now {new_schema}")
            kept = [row for i, row in enumerate(rows) if i not in gone]
            if kept != new_rows:
                at = next((i for i, (a, b) in enumerate(zip(kept, new_rows)) if a != b), "none")
                found.append(f"{len(kept)} rows, {len(new_rows)} now; the first that differs: {at}")
        return {"differences": found}

    def write(self, path, seed):
        rng = random.Random(seed)
        schema = ("id string, json string, serial bigint, country string, created timestamp, "
                  "day date, score double, amount decimal(9, 2), wide decimal(38, 10), "
                  "active boolean, blob binary, tags array<string>, "
                  "attributes map<string, bigint>, address struct<city: string, x: double>")
        frame = self.spark.createDataFrame(list(users(rng, rng.choice([1, 40, 500]))), schema)
        for key, values in (("writeLegacyFormat", ["true", "false"]), ("outputTimestampType",
                            ["INT96", "TIMESTAMP_MICROS", "TIMESTAMP_MILLIS"])):
            self.spark.conf.set(f"spark.sql.parquet.{key}", rng.choice(values))
        folder = tempfile.mkdtemp()
        frame.coalesce(1).write.mode("overwrite").options(**{
            "compression": rng.choice(["none", "snappy", "gzip", "zstd", "lz4", "lz4_raw"]),
            "parquet.page.size": rng.choice(["256", "1048576"]),
            "parquet.page.row.count.limit": rng.choice(["20", "20000"]),
            "parquet.page.size.row.check.min": "10", "parquet.block.size.row.check.min": "10",
            "parquet.block.size": rng.choice(["4096", "134217728"]),
            "parquet.dictionary.page.size": rng.choice(["512", "1048576"]),
            "parquet.enable.dictionary": rng.choice(["true", "false"]),
            "parquet.writer.version": rng.choice(["v1", "v2"]),
            "parquet.bloom.filter.enabled#id": rng.choice(["true", "false"]),
            "parquet.bloom.filter.max.bytes": "1024",
            "parquet.page.write-checksum.enabled": rng.choice(["true", "false"]),
        }).parquet(folder)
        (name,) = [one for one in os.listdir(folder) if one.endswith(".parquet")]
        shutil.copyfile(os.path.join(folder, name), path)
        shutil.rmtree(folder)


def answer(peer, request):
    try:
        if "write" in request:
            peer.write(request["write"], request["seed"])
            return {"written": True}
        return peer.compare(request["before"], request["after"], request["erased"])
    except Exception as error:  # the test shows it
        return {"differences": [repr(error)[:2000]]}


def main():
    peer = {"pyarrow": Arrow, "spark": Spark}[sys.argv[1]]()
    for line in sys.stdin:
        print(json.dumps(answer(peer, json.loads(line))), flush=True)


main()
