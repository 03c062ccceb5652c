"""Writes spark_*.parquet into the folder of this file, with parquet-mr as Apache Spark 3.5 has it
('pip install pyspark==3.5.9', with Java 17)."""
import datetime
import decimal
import json
import random
import shutil
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql.types import (ArrayType, BinaryType, BooleanType, ByteType, DateType, DecimalType,
                               DoubleType, FloatType, IntegerType, LongType, MapType, ShortType,
                               StringType, StructField, StructType, TimestampType)

HERE = Path(__file__).parent
NOW = datetime.datetime(2024, 5, 17, 12, 30, 15, 123456)
SCHEMA = StructType([
    StructField("id", StringType()), StructField("json", StringType()),
    StructField("country", StringType()), StructField("created", TimestampType()),
    StructField("day", DateType()), StructField("score", DoubleType()),
    StructField("ratio", FloatType(), False), StructField("amount", DecimalType(9, 2)),
    StructField("total", DecimalType(18, 4)), StructField("wide", DecimalType(38, 10)),
    StructField("level", ByteType()), StructField("short", ShortType()),
    StructField("number", IntegerType()), StructField("serial", LongType(), False),
    StructField("active", BooleanType()), StructField("blob", BinaryType()),
    StructField("tags", ArrayType(StringType())),
    StructField("matrix", ArrayType(ArrayType(IntegerType(), False))),
    StructField("attributes", MapType(StringType(), LongType())),
    StructField("address", StructType([
        StructField("city", StringType()),
        StructField("place", StructType([StructField("x", DoubleType(), False),
                                         StructField("y", DoubleType())]))])),
])


def users(count, seed):
    rng = random.Random(seed)

    def maybe(value):
        return None if rng.random() < 0.15 else value
    for i in range(count):
        one = f"{rng.getrandbits(64):016x}"
        yield (maybe(one), maybe(json.dumps({"user": one})), maybe(rng.choice(["CZ", "DE", "FR"])),
               maybe(NOW + datetime.timedelta(seconds=rng.randint(0, 10**8))),
               maybe(NOW.date() - datetime.timedelta(days=rng.randint(0, 9000))),
               maybe(rng.choice([1.5, -0.0, 0.0, float("nan"), float("inf")])),
               rng.choice([1.5, -0.0, 0.0, float("nan")]),
               maybe(decimal.Decimal(rng.randint(-10**8, 10**8)) / 100),
               maybe(decimal.Decimal(rng.randint(-10**12, 10**12)) / 10**4),
               maybe(decimal.Decimal(rng.randint(-10**20, 10**20)) / 10**10),
               maybe(rng.randint(-128, 127)), maybe(rng.randint(-999, 999)),
               maybe(rng.randint(-10**9, 10**9)), i, maybe(rng.random() < 0.5),
               maybe(bytearray(rng.randbytes(rng.randint(0, 20)))),
               maybe([maybe(f"tag-{rng.randint(0, 9)}") for _ in range(rng.randint(0, 4))]),
               maybe([maybe([rng.randint(0, 9) for _ in range(rng.randint(0, 3))])
                      for _ in range(rng.randint(0, 3))]),
               maybe({f"key-{k}": maybe(rng.randint(0, 10**6)) for k in range(rng.randint(0, 3))}),
               maybe((maybe(f"city of {one}"), maybe((rng.random(), maybe(rng.random()))))))


def main():
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false") \
        .config("spark.driver.host", "127.0.0.1").config("spark.sql.session.timeZone", "UTC") \
        .getOrCreate()
    frame = spark.createDataFrame(list(users(150, 5)), SCHEMA)

    def write(name, settings=(), **options):
        for key, value in settings:
            spark.conf.set(f"spark.sql.parquet.{key}", value)
        folder = Path(tempfile.mkdtemp())
        frame.coalesce(1).write.mode("overwrite").options(**options).parquet(str(folder))
        (found,) = folder.glob("*.parquet")
        shutil.copyfile(found, HERE / f"spark_{name}.parquet")
        shutil.rmtree(folder)
        for key, _ in settings:
            spark.conf.unset(f"spark.sql.parquet.{key}")

    small = {"parquet.page.size": "256", "parquet.page.row.count.limit": "20",
             "parquet.page.size.row.check.min": "10", "parquet.dictionary.page.size": "512",
             "parquet.block.size": "4096", "parquet.block.size.row.check.min": "10"}
    write("users_snappy")
    write("users_legacy", [("writeLegacyFormat", "true"), ("outputTimestampType", "INT96")],
          compression="gzip")
    write("users_millis", [("outputTimestampType", "TIMESTAMP_MILLIS")], compression="none")
    write("users_pages", compression="zstd", **small)
    write("users_v2", compression="snappy", **small, **{
        "parquet.writer.version": "v2", "parquet.bloom.filter.enabled#id": "true",
        "parquet.bloom.filter.expected.ndv#id": "150", "parquet.bloom.filter.max.bytes": "1024",
        "parquet.bloom.filter.enabled#serial": "true"})
    write("users_lz4", compression="lz4_raw", **small)
    write("users_lz4_hadoop", compression="lz4")
    spark.stop()


main()
