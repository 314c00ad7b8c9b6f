"""The jobs on the real files, which lie beside the checkout and are no part of it."""

from __future__ import annotations

from datetime import date

import pyarrow.parquet as pq
import pytest

from sparkjobs.immigration import airports, arrivals, cities, temperature
from tests.sparkjobs.conftest import REAL_DATA

pytestmark = pytest.mark.skipif(
    not (REAL_DATA / "immigration").is_dir(), reason=f"the real input files are not at {REAL_DATA}"
)
REAL, REAL_CSV = REAL_DATA / "immigration", REAL_DATA / "immigration_csv"
LABELS = "I94_SAS_Labels_Descriptions.SAS"


def test_the_real_arrivals_are_read_whole_and_come_out_in_words(run_job):
    counts, kept, rejected = run_job(arrivals, REAL / "sas_data", REAL / LABELS)
    assert counts["read"] == 219_268
    assert counts["rejected"] == {"mode_missing": 1, "not_by_air": 1396}
    assert counts["written"] == 217_871
    assert counts["notes"] == {"outside_window": 0, "unknown_citizenship": 18_866}
    table = pq.read_table(kept)
    assert table.num_rows == 217_871
    assert len(set(table["tourist_id"].to_pylist())) == 217_871
    assert set(table["arrivedate"].to_pylist()) == {date(2016, 4, day) for day in (1, 2, 3, 7)}
    assert set(table["mode"].to_pylist()) == {"Air"}
    assert set(table["visa"].to_pylist()) == {"Business", "Pleasure", "Student"}
    ports = set(
        zip(*(table[name].to_pylist() for name in ("portcode", "portofentrycity", "portstate")), strict=True)
    )
    assert ("WAS", "washington", "DC") in ports
    assert len(ports) == len({code for code, _, _ in ports})
    nullable = {"departdate", "age"}
    assert {name for name in table.column_names if table[name].null_count} <= nullable
    assert pq.read_table(rejected).num_rows == 1397


def test_a_day_of_the_real_arrivals_is_its_share_of_the_whole(run_job):
    window = ("2016-04-02", "2016-04-03")
    counts, kept, _ = run_job(arrivals, REAL / "sas_data", REAL / LABELS, window=window)
    assert counts["read"] == 96_631
    assert counts["notes"]["outside_window"] == 219_268 - 96_631
    assert (
        pq.read_table(kept).num_rows == counts["written"] == counts["read"] - sum(counts["rejected"].values())
    )


def test_the_published_sample_is_read_in_its_csv_form(run_job):
    counts, kept, _ = run_job(arrivals, REAL_CSV / "immigrationData.csv", REAL / LABELS)
    assert counts["read"] == 1000 == counts["written"] + sum(counts["rejected"].values())
    assert pq.read_table(kept).num_rows == counts["written"] > 900


def test_the_real_cities_make_one_row_per_state(run_job):
    counts, kept, _ = run_job(cities, REAL / "us-cities-demographics.csv")
    assert counts == {"read": 2891, "written": 49, "rejected": {}}
    rows = pq.read_table(kept).to_pylist()
    assert len({row["statecode"] for row in rows}) == 49
    assert all(30 < row["medianage"] < 45 for row in rows)


def test_the_real_temperatures_are_those_of_four_states(run_job):
    counts, kept, _ = run_job(temperature, REAL / "GlobalLandTemperaturesByState.csv")
    assert counts == {
        "read": 40_459,
        "written": 10_325,
        "rejected": {"no_value": 355, "not_united_states": 29_779},
    }
    table = pq.read_table(kept)
    assert set(table["state"].to_pylist()) == {"Alabama", "Alaska", "Arizona", "Arkansas"}
    assert all(month.day == 1 for month in table["month"].to_pylist())


def test_the_real_airports_are_all_open_and_all_kept(run_job):
    counts, kept, _ = run_job(airports, REAL / "airport-codes_csv.csv")
    assert counts == {"read": 18_511, "written": 18_511, "rejected": {}}
    assert len(set(pq.read_table(kept)["ident"].to_pylist())) == 18_511
