"""The jobs on the real files, which lie beside the checkout and are no part of it."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pyarrow.parquet as pq
import pytest

from sparkjobs.immigration import airports, arrivals, cities, temperature
from sparkjobs.immigration.countries import INFERRED
from sparkjobs.immigration.labels import COUNTRIES, parse_labels
from tests.sparkjobs.conftest import REAL_DATA
from tests.sparkjobs.port_airports import AIRPORTS

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
    assert counts["notes"] == {
        "unknown_citizenship": 364,
        "inferred_citizenship": 18_502,
        "unknown_port": 97,
    }
    table = pq.read_table(kept)
    assert table.num_rows == 217_871
    assert len(set(table["tourist_id"].to_pylist())) == 217_871
    assert set(table["arrivedate"].to_pylist()) == {date(2016, 4, day) for day in (1, 2, 3, 7)}
    assert set(table["mode"].to_pylist()) == {"Air"}
    assert set(table["visa"].to_pylist()) == {"Business", "Pleasure", "Student"}
    ports = set(zip(*(table[name].to_pylist() for name in ("portcode", "portofentrycity")), strict=True))
    assert ("WAS", "washington") in ports
    assert len(ports) == len({code for code, _ in ports})
    # Of the rows that arrived on 2 April, 96,631, those that are rejected are left out.
    of_days = {folder.name: pq.read_table(folder).num_rows for folder in kept.glob("*=*")}
    assert of_days.keys() == {f"day=2016-04-0{day}" for day in (1, 2, 3, 7)}
    rejects = Counter(row["arrdate"] for row in pq.read_table(rejected).to_pylist())
    assert of_days["day=2016-04-02"] + rejects[20546.0] == 96_631
    assert sum(of_days.values()) == counts["written"]
    nullable = {"departdate", "age", "day"}
    assert {name for name in table.column_names if table[name].null_count} <= nullable
    assert pq.read_table(rejected).num_rows == 1397


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


def test_inferred_countries_are_those_where_nearly_all_with_the_code_reside():
    rows = pq.read_table(REAL / "sas_data", columns=["i94cit", "i94res", "i94mode"]).to_pylist()
    labels = parse_labels((REAL / LABELS).read_text(encoding="latin-1"))[COUNTRIES]
    homes: dict[str, Counter[str | None]] = {code: Counter() for code in INFERRED}
    for row in rows:
        code = str(int(row["i94cit"]))
        if row["i94mode"] == 1 and code in homes:
            homes[code][labels.get(str(int(row["i94res"])))] += 1
    assert not INFERRED.keys() & labels.keys()
    assert {code: home.total() for code, home in homes.items()} == {
        "148": 9_607,
        "254": 5_080,
        "252": 0,  # in none of the four days at hand
        "746": 1_835,
        "133": 1_980,
    }
    for code, home in homes.items():
        assert home[INFERRED[code]] >= 0.94 * home.total()


def test_nearly_every_real_arrival_has_the_airport_of_its_port(run_job):
    counts, kept, _ = run_job(airports, REAL / "airport-codes_csv.csv", REAL / LABELS)
    assert counts == {"read": 18_511, "written": 588, "rejected": {}}
    ports = pq.read_table(kept).to_pylist()
    assert len({row["portcode"] for row in ports}) == 588
    assert all((row["matchbasis"] is None) == (row["ident"] is None) for row in ports)
    found = {row["portcode"]: row["iata_code"] for row in ports}
    rows = pq.read_table(REAL / "sas_data", columns=["i94port", "i94mode"]).to_pylist()
    arrived = Counter(row["i94port"] for row in rows if row["i94mode"] == 1)
    assert arrived.keys() == AIRPORTS.keys()
    right = sum(count for port, count in arrived.items() if found.get(port) == AIRPORTS[port])
    assert right / arrived.total() > 0.9998
    wrong = {port: found[port] for port in AIRPORTS if found.get(port) not in {AIRPORTS[port], None}}
    assert wrong == {}
