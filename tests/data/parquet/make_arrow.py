"""Writes arrow_*.parquet and fastparquet_*.parquet into the folder of this file: with pyarrow 26.0.1
and fastparquet 2026.9.0 ('pip install pyarrow fastparquet')."""
import datetime
import decimal
import json
import random
from pathlib import Path

import fastparquet
import numpy
import pandas
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
NOW = datetime.datetime(2024, 5, 17, 12, 30, 15, 123456, tzinfo=datetime.timezone.utc)
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]


def users(count, seed):
    """A dump of users, in the types that such dumps have."""
    rng = random.Random(seed)
    ids = [f"{rng.getrandbits(64):016x}" for _ in range(count)]

    def maybe(value):
        return None if rng.random() < 0.15 else value
    numbers = [1.5, -0.0, 0.0, float("nan"), float("inf"), 1e-310, -7.25]
    return pa.table({
        "id": pa.array([maybe(one) for one in ids]),
        "json": pa.array([maybe(json.dumps({"user": one, "n": rng.randint(0, 99)}))
                          for one in ids]),
        "country": pa.array([maybe(rng.choice(["CZ", "DE", "FR"])) for _ in ids])
        .dictionary_encode(),
        "created": pa.array([maybe(NOW + datetime.timedelta(seconds=rng.randint(0, 10**8)))
                             for _ in ids], pa.timestamp("us", "UTC")),
        "seen": pa.array([maybe(NOW.replace(tzinfo=None)) for _ in ids], pa.timestamp("ms")),
        "day": pa.array([maybe(NOW.date() - datetime.timedelta(days=rng.randint(0, 9000)))
                         for _ in ids]),
        "score": pa.array([maybe(rng.choice(numbers)) for _ in ids], pa.float64()),
        "ratio": pa.array([rng.choice(numbers) for _ in ids], pa.float32()),
        "half": pa.array(numpy.array([rng.choice(numbers) for _ in ids], numpy.float16)),
        "amount": pa.array([maybe(decimal.Decimal(rng.randint(-10**9, 10**9)) / 100)
                            for _ in ids], pa.decimal128(12, 2)),
        "wide": pa.array([decimal.Decimal(rng.randint(-10**30, 10**30)) for _ in ids],
                         pa.decimal256(60, 0)),
        "level": pa.array([maybe(rng.randint(-128, 127)) for _ in ids], pa.int8()),
        "unsigned": pa.array([rng.getrandbits(64) for _ in ids], pa.uint64()),
        "active": pa.array([maybe(rng.random() < 0.5) for _ in ids]),
        "key": pa.array([rng.randbytes(16) for _ in ids], pa.binary(16)),
        "blob": pa.array([maybe(rng.randbytes(rng.randint(0, 20))) for _ in ids]),
        "tags": pa.array([maybe([maybe(f"tag-{rng.randint(0, 9)}")
                                 for _ in range(rng.randint(0, 4))]) for _ in ids],
                         pa.list_(pa.string())),
        "matrix": pa.array([maybe([maybe([rng.randint(0, 9) for _ in range(rng.randint(0, 3))])
                                   for _ in range(rng.randint(0, 3))]) for _ in ids],
                           pa.list_(pa.list_(pa.int32()))),
        "attributes": pa.array([maybe([(f"key-{i}", maybe(rng.randint(0, 10**6)))
                                       for i in range(rng.randint(0, 3))]) for _ in ids],
                               pa.map_(pa.string(), pa.int64())),
        "address": pa.array([maybe({"city": maybe(f"city of {one}"),
                                    "place": maybe({"x": rng.random(), "y": maybe(rng.random())})})
                             for one in ids]),
    }).replace_schema_metadata({"owner": "tests", "empty": "", "utf8": "Ω"})


def write(name, table, **options):
    pq.write_table(table, HERE / f"arrow_{name}.parquet", **options)


def main():
    table = users(120, 1)
    for i, codec in enumerate(CODECS):
        write(f"users_{codec}", table, compression=codec, data_page_version=f"{1 + i % 2}.0",
              row_group_size=50, version="2.6", store_schema=i % 2 == 0)
    write("users_indexed", table, compression="zstd", row_group_size=70, write_page_index=True,
          write_page_checksum=True, data_page_size=200, write_batch_size=10, store_decimal_as_integer=True,
          sorting_columns=[pq.SortingColumn(0)],
          bloom_filter_options={"id": {"ndv": 100, "fpp": 0.01}, "json": True})
    write("users_plain", table, use_dictionary=False, compression="snappy", write_statistics=False,
          data_page_size=300, write_batch_size=7)
    write("users_int96", table.select(["id", "created", "seen"]), version="1.0",
          use_deprecated_int96_timestamps=True, flavor="spark", row_group_size=33)
    write("encodings", table.select(["id", "json", "level", "unsigned", "score", "key", "active",
                                     "created", "amount"]),
          use_dictionary=False, data_page_version="2.0", compression="gzip", row_group_size=45,
          column_encoding={"id": "DELTA_BYTE_ARRAY", "json": "DELTA_LENGTH_BYTE_ARRAY",
                           "level": "DELTA_BINARY_PACKED", "unsigned": "DELTA_BINARY_PACKED",
                           "score": "BYTE_STREAM_SPLIT", "key": "BYTE_STREAM_SPLIT",
                           "active": "RLE", "created": "BYTE_STREAM_SPLIT",
                           "amount": "BYTE_STREAM_SPLIT"})
    write("fallback", table.select(["id", "json", "country", "tags"]), dictionary_pagesize_limit=400,
          data_page_size=150, write_batch_size=8)
    write("no_rows", table.slice(0, 0))
    write("no_columns_but_one", table.select(["id"]))
    write("list_old_names", table.select(["id", "tags", "matrix"]), use_compliant_nested_type=False)

    frame = pandas.DataFrame({
        "id": [f"user {i}" for i in range(90)], "n": numpy.arange(90),
        "x": [None if i % 7 == 0 else i / 3 for i in range(90)],
        "at": pandas.date_range("2024-01-01", periods=90, freq="h"),
        "kind": pandas.Categorical(["a", "b", "c"] * 30),
        "flag": [i % 3 == 0 for i in range(90)]})
    fastparquet.write(str(HERE / "fastparquet_users.parquet"), frame, row_group_offsets=40,
                      compression="GZIP", times="int96", has_nulls=["x"])
    fastparquet.write(str(HERE / "fastparquet_plain.parquet"), frame, compression=None,
                      object_encoding="bytes", stats=False)


main()
