"""A time stays what it is from a source to the warehouse, on hosts whose own time zone is not UTC."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.pipeline import Hardware
from airflow_lib.spark.sizing import size_sessions
from tests.contract.livy_client import embedded
from tests.sandbox.redshift_fakes import BUCKET, HOST, ROLE, Warehouse, running_warehouse

pytestmark = pytest.mark.sandbox

LATE = datetime(2016, 4, 1, 23, 30)  # the next day already, in Berlin
CSV = "id,moment\n1,2016-04-01T23:30:00Z\n2,2016-04-01 23:30:00\n3,2016-04-02T01:30:00+02:00\n"
# What a job does with times: it parses them, with and without an offset, derives days of them, and gets some from
# Python and some from Java. A TIMESTAMP's form in Parquet is Spark's default (INT96), or 64 bits.
CODE = """
from datetime import datetime
from pyspark.sql import functions as F
read = spark.read.csv({source!r}, header=True).select(
    F.col("id").cast("bigint"), F.col("moment").cast("timestamp").alias("moment")
)
java = sc._jvm.java.text.SimpleDateFormat("yyyy-MM-dd HH:mm:ss")
by_java = java.parse("2016-04-01 23:30:00").getTime() // 1000
made = [(4, datetime.fromtimestamp(1459553400)), (5, datetime.fromtimestamp(by_java))]
rows = read.union(spark.createDataFrame(made, "id bigint, moment timestamp")).coalesce(1)
for form in ("INT96", "TIMESTAMP_MICROS"):
    spark.conf.set("spark.sql.parquet.outputTimestampType", form)
    rows.select(
        "id", "moment", F.to_date("moment").alias("day"), F.date_format("moment", "yyyy-MM-dd HH:mm").alias("label")
    ).write.parquet({target!r} + form)
{{
    "java": sc._jvm.java.util.TimeZone.getDefault().getID(),
    "collected": str(read.first().moment),
    "executor": sc.parallelize([1459553400]).map(lambda s: str(datetime.fromtimestamp(s))).first(),
}}
"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    yield from running_warehouse(tmp_path_factory.mktemp("redshift") / "data")


def run_in_berlin(folder: Path) -> dict[str, Any]:
    """Run CODE in a session with Mayfly's settings, of a Livy on a host in Berlin; what it tells."""
    source = folder / "moments.csv"
    source.write_text(CSV)
    code = CODE.format(source=source.as_uri(), target=f"{folder.as_uri()}/")
    with embedded(HOST.replace(".1.1", ".3.1"), folder / "livy", environment={"TZ": "Europe/Berlin"}) as (
        server,
        _,
    ):
        conf = size_sessions(Hardware(), 1, 1).conf
        session = server.create(kind="pyspark", driverMemory="600m", conf=conf)
        assert session.wait_started() == "idle"
        told: dict[str, Any] = ast.literal_eval(session.text(code))
        return told


def test_half_past_eleven_at_night_stays_on_its_day_from_the_source_to_the_warehouse(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    (tmp_path / "livy").mkdir()
    told = run_in_berlin(tmp_path)
    assert told == {"java": "UTC", "collected": str(LATE), "executor": str(LATE)}
    warehouse.ask("CREATE TABLE moments (id BIGINT, moment TIMESTAMP, day DATE, label VARCHAR(16))")
    for form in ("INT96", "TIMESTAMP_MICROS"):
        (file,) = (tmp_path / form).glob("*.parquet")
        body = file.read_bytes()
        warehouse.s3.put_object(Bucket=BUCKET, Key=f"{form}.parquet", Body=body)
        entry = {
            "url": f"s3://{BUCKET}/{form}.parquet",
            "mandatory": True,
            "meta": {"content_length": len(body)},
        }
        manifest = warehouse.put_manifest(f"{form}.json", [entry])
        warehouse.ask(f"COPY moments FROM '{manifest}' IAM_ROLE '{ROLE}' FORMAT AS PARQUET MANIFEST")
    loaded = warehouse.ask("SELECT id, moment, day, label FROM moments ORDER BY id")
    assert loaded == [
        (number, LATE, date(2016, 4, 1), "2016-04-01 23:30") for number in (1, 2, 3, 4, 5) for _ in range(2)
    ]
