"""Tables, and the pipeline that they are declared in."""

from datetime import UTC, datetime

from airflow_lib.pipeline import (
    Newest,
    Pipeline,
    ReplaceWindow,
    SparkJob,
    Staging,
    Table,
    WindowUnit,
)

GOOD = Pipeline(
    name="birds",
    start=datetime(2020, 1, 1, tzinfo=UTC),
    jobs=(SparkJob("sightings", sources=("sightings.csv",), windowed=True),),
    tables=(
        Staging("staging_sightings", output="sightings"),
        Table("dimBird", Newest(), key=("bird_id",)),
        Table("factSighting", ReplaceWindow("seen_on")),
    ),
)


def test_tables_are_grouped_by_kind_and_kept_in_order():
    assert [table.name for table in GOOD.warehouse_tables] == ["dimBird", "factSighting"]
    assert [table.name for table in GOOD.staging] == ["staging_sightings"]
    assert GOOD.windows == {"factSighting": ReplaceWindow("seen_on")}


def test_a_job_is_found_by_its_name():
    assert GOOD.job("sightings") is GOOD.jobs[0]


def test_windows_are_days_unless_declared_otherwise():
    assert GOOD.window_unit is WindowUnit.DAY
