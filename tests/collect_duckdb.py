# What DuckDB makes of a case: usage: collect_duckdb.py CASE
import json
import sys

import duckdb

case = sys.argv[1].replace("'", "''")


def read(table):
    return f"read_parquet('{case}/{table}/**/*.parquet', hive_partitioning = true, union_by_name = true)"


rows = duckdb.sql(
    f"""SELECT "table", host, count(*) FROM {read("*")}
        WHERE "table" NOT IN ('_problems', '_sources') GROUP BY ALL"""
).fetchall()
busiest = duckdb.sql(
    f"""SELECT host, AppId_name, sum(BytesSent)::UBIGINT AS sent FROM {read("table=Network_Data_Usage")}
        WHERE AppId_name IS NOT NULL GROUP BY host, AppId_name
        QUALIFY row_number() OVER (PARTITION BY host ORDER BY sent DESC, AppId_name) = 1"""
).fetchall()


def count(table):
    return duckdb.sql(f"SELECT count(*) FROM {read(table)}").fetchall()[0][0]


print(
    json.dumps(
        {
            "rows": {f"{table}/{host}": count for table, host, count in rows},
            "busiest": {host: {"name": name, "sent": sent} for host, name, sent in busiest},
            "problems": count("table=_problems"),
            "sources": count("table=_sources"),
        }
    )
)
