#!/usr/bin/env python3
"""Many copies of a database as one query on Spark: one executor thread against two, where the time goes, and beside it what people
do without this package, `binaryFile` and dissect.database in a function of Python.

usage: benches/spark.py [DATABASE [TABLE [COUNT]]]

Needs pyspark, Java 17, dissect.database and the wheel of edbkit in the Python that runs it. Without arguments: 1,000 copies of a SRUM database of
../shared/fixtures."""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable

import edbkit.spark
from pyspark.sql import SparkSession
from pyspark.sql.functions import count, count_distinct

SRUM = Path(__file__).parents[2] / "shared/fixtures/real/museum/SRUM/Win10/APTSimulatorVM/Clean/SRUDB.dat"
TABLE = "{D10CA2FE-6FCF-4F6D-848E-B2E99266FA89}"
# dissect is slow: it gets fewer copies, and its time is multiplied.
SHARE = 20


def session(threads: int) -> SparkSession:
    spark = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", str(threads))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    edbkit.spark.register(spark)
    return spark


def by_dissect(path: str, table: str) -> int:
    from dissect.database.ese.ese import ESE

    with open(path, "rb") as file:
        return sum(1 for record in ESE(file).table(table).records() if record.as_dict() is not None)


def main() -> None:
    database = Path(sys.argv[1]) if len(sys.argv) > 1 else SRUM
    table = sys.argv[2] if len(sys.argv) > 2 else TABLE
    copies = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    with tempfile.TemporaryDirectory() as folder:
        content = database.read_bytes()
        for number in range(copies):
            place = Path(folder) / f"{number:05}"
            place.mkdir()
            (place / database.name).write_bytes(content)
        paths = f"{folder}/*/{database.name}"
        seconds = {}
        for threads in (1, 2):
            spark = session(threads)
            begun = time.monotonic()
            frame = spark.read.format("ese").option("path", paths).option("table", table).load()
            listed = time.monotonic() - begun
            # The first query starts workers and warms up Java.
            times = []
            for _ in range(4):
                begun = time.monotonic()
                [(rows, sources)] = frame.agg(count("*"), count_distinct("_source")).collect()
                times.append(time.monotonic() - begun)
            parts = frame.rdd.getNumPartitions()
            seconds[threads] = statistics.median(times[1:])
            print(
                f"edbkit, threads: {threads}: {rows} rows of {sources} databases; schema {listed:.2f} s, first query {times[0]:.2f} s, "
                f"then {seconds[threads]:.2f} s, {parts} partitions"
            )
            if threads == 2:
                few = max(1, copies // SHARE)
                names = [str(path) for path in sorted(Path(folder).glob(f"*/{database.name}"))[:few]]
                begun = time.monotonic()
                rows = spark.sparkContext.parallelize(names, few).map(lambda path: by_dissect(path, table)).sum()
                other = (time.monotonic() - begun) * copies / few
                print(f"dissect, 2 threads, {few} copies with {rows} rows: {other:.0f} s for all, {other / seconds[2]:.0f} times edbkit")
            spark.stop()
        print(f"two threads are {seconds[1] / seconds[2]:.2f} times as fast as one")


if __name__ == "__main__":
    main()
