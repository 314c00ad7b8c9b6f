from __future__ import annotations

from collections import Counter
from datetime import date

import pyarrow.parquet as pq
import pytest

from sparkjobs.immigration import temperature

HEADER = "dt,AverageTemperature,AverageTemperatureUncertainty,State,Country"
LAST = "1855-05-01,2.5,,Utah,United States"


@pytest.fixture
def months(run_job, tmp_path):
    def run(*lines, header=HEADER):
        path = tmp_path / "GlobalLandTemperaturesByState.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        counts, kept, rejected = run_job(temperature, path)
        rejects = pq.read_table(rejected).to_pylist() if rejected.exists() else []
        return counts, pq.read_table(kept), rejects

    return run


def test_both_date_forms_become_the_first_of_the_month(months):
    counts, table, _ = months(
        "1855-05-01,25.544,1.171,Alabama,United States",
        "12/1/1913,-3.5,,Georgia (State),United States",
    )
    assert counts == {"read": 2, "written": 2, "rejected": {}}
    assert table.to_pylist() == [
        {
            "month": date(1855, 5, 1),
            "state": "Alabama",
            "averagetemperature": 25.544,
            "averagetemperatureuncertainty": 1.171,
        },
        {
            "month": date(1913, 12, 1),
            "state": "Georgia (State)",
            "averagetemperature": -3.5,
            "averagetemperatureuncertainty": None,
        },
    ]
    assert [str(field.type) for field in table.schema] == ["date32[day]", "string", "double", "double"]


REJECTED = (
    ("1855-05-01,25.5,1.1,Acre,Brazil", "not_united_states"),
    ("1855-05-01,25.5,1.1,Acre,", "not_united_states"),
    ("1855-05-01,25.5,1.1,,United States", "no_state"),
    ("1855-13-01,25.5,1.1,Ohio,United States", "bad_date"),
    ("13/13/1955,25.5,1.1,Ohio,United States", "bad_date"),
    ("May 1855,25.5,1.1,Ohio,United States", "bad_date"),
    ("1855-05-31,25.5,1.1,Ohio,United States", "bad_date"),
    ("01/02/1913,25.5,1.1,Ohio,United States", "bad_date"),  # February, its day first
    ("1855-05-01,-9999,1.1,Ohio,United States", "impossible_value"),
    ("1855-05-01,100.1,1.1,Ohio,United States", "impossible_value"),
    ("1855-05-01,1e300,1.1,Ohio,United States", "impossible_value"),
    (",25.5,1.1,Ohio,United States", "bad_date"),
    ("1855-05-01,,,Ohio,United States", "no_value"),
    ("1855-05-01,warm,,Ohio,United States", "no_value"),
)


def test_a_row_without_a_mean_of_a_us_state_is_rejected(months):
    counts, _, rejects = months("5/1/1955,1.0,1.0,Ohio,United States", *(line for line, _ in REJECTED))
    assert counts == {
        "read": 1 + len(REJECTED),
        "written": 1,
        "rejected": dict(sorted(Counter(reason for _, reason in REJECTED).items())),
    }
    names = ("dt", "AverageTemperature", "AverageTemperatureUncertainty", "State", "Country")
    told = {(*(row[name] or "" for name in names), row["reason"]) for row in rejects}
    assert told == {(*line.split(","), reason) for line, reason in REJECTED}


def test_an_uncertainty_that_no_mean_can_have_is_null_and_counted(months):
    uncertain = ("-0.1", "-9999", "100.1", "1e300")
    counts, table, _ = months(
        *(f"1855-05-01,-100,{uncertainty},Iowa,United States" for uncertainty in uncertain),
        "1855-05-01,100,100,Ohio,United States",
    )
    assert table["averagetemperature"].to_pylist() == [*[-100] * 4, 100]
    assert table["averagetemperatureuncertainty"].to_pylist() == [*[None] * 4, 100]
    assert (counts["notes"], counts["judged_over"]) == ({"bad_uncertainty": 4}, {"bad_uncertainty": 5})


NO_NUMBERS = ("NaN", "Infinity", "-inf", "1e400", "12d", "0x1p3x")


def test_what_is_no_finite_number_is_no_value(months):
    counts, _, rejects = months(*(f"1855-05-01,{value},0.1,Iowa,United States" for value in NO_NUMBERS), LAST)
    assert (counts["written"], counts["rejected"]) == (1, {"no_value": len(NO_NUMBERS)})
    assert {row["AverageTemperature"] for row in rejects} == set(NO_NUMBERS)
    assert "notes" not in counts


def test_an_uncertainty_that_is_no_finite_number_is_null_and_counted_unless_it_says_so(months):
    counts, table, _ = months(*(f"1855-05-01,1.5,{value},Ohio,United States" for value in NO_NUMBERS), LAST)
    read = [(row["averagetemperature"], row["averagetemperatureuncertainty"]) for row in table.to_pylist()]
    assert read == [*[(1.5, None)] * len(NO_NUMBERS), (2.5, None)]
    bad = len(NO_NUMBERS) - 1  # NaN is how programs write that there is none
    assert (counts["notes"], counts["judged_over"]) == ({"bad_uncertainty": bad}, {"bad_uncertainty": bad})


def test_dates_before_1582_and_without_leading_zeros_are_read_by_todays_calendar(months):
    counts, table, _ = months(
        "0213-04-01,1.0,,Iowa,United States",
        "1582-10-01,2.0,,Iowa,United States",
        "1900-4-1,3.0,,Iowa,United States",
        "0000-04-01,4.0,,Iowa,United States",
    )
    assert counts == {"read": 4, "written": 3, "rejected": {"bad_date": 1}}
    assert table["month"].to_pylist() == [date(213, 4, 1), date(1582, 10, 1), date(1900, 4, 1)]


def test_a_malformed_row_is_rejected_with_its_text_and_the_others_are_kept(months):
    counts, _, rejects = months("1855-05-01,1.0,,Iowa,United States", "1855-05-01,1.0", "May,1,2,3,4,5")
    assert counts == {"read": 3, "written": 1, "rejected": {"malformed_row": 2}}
    assert {row["_corrupt"] for row in rejects} == {"1855-05-01,1.0", "May,1,2,3,4,5"}
