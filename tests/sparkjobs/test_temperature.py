from __future__ import annotations

from datetime import date

import pyarrow.parquet as pq
import pytest

from sparkjobs.immigration import temperature

HEADER = "dt,AverageTemperature,AverageTemperatureUncertainty,State,Country"


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
        "12/31/1913,-3.5,,Georgia (State),United States",
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


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1855-05-01,25.5,1.1,Acre,Brazil", "not_united_states"),
        ("1855-05-01,25.5,1.1,Acre,", "not_united_states"),
        ("1855-05-01,25.5,1.1,,United States", "no_state"),
        ("1855-13-01,25.5,1.1,Ohio,United States", "bad_date"),
        ("13/13/1955,25.5,1.1,Ohio,United States", "bad_date"),
        ("May 1855,25.5,1.1,Ohio,United States", "bad_date"),
        (",25.5,1.1,Ohio,United States", "bad_date"),
        ("1855-05-01,,,Ohio,United States", "no_value"),
        ("1855-05-01,warm,,Ohio,United States", "no_value"),
    ],
)
def test_a_row_without_a_mean_of_a_us_state_is_rejected(months, line, reason):
    counts, _, rejects = months("5/1/1955,1.0,1.0,Ohio,United States", line)
    assert counts == {"read": 2, "written": 1, "rejected": {reason: 1}}
    assert [row["reason"] for row in rejects] == [reason]
    assert rejects[0]["dt"] == (line.split(",")[0] or None)
