from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from sparkjobs.errors import BadInput
from sparkjobs.immigration import cities

HEADER = (
    "City;State;Median Age;Male Population;Female Population;Total Population;Number of Veterans;Foreign-born;"
    "Average Household Size;State Code;Race;Count"
)


@pytest.fixture
def states(run_job, tmp_path):
    def run(*lines, header=HEADER):
        path = tmp_path / "us-cities-demographics.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        counts, kept, rejected = run_job(cities, path)
        rejects = pq.read_table(rejected).to_pylist() if rejected.exists() else []
        return counts, pq.read_table(kept), rejects

    return run


def test_a_city_with_a_row_per_race_is_counted_once(states):
    counts, table, _ = states(
        "Salem;Oregon;30.0;40;60;100;10;20;2.0;OR;White;70",
        "Salem;Oregon;30.0;40;60;100;10;20;2.0;OR;Asian;30",
        "Eugene;Oregon;40.0;150;150;300;5;30;4.0;OR;White;300",
        "Salem;Ohio;50.0;1;2;3;4;5;2.5;oh;White;3",
    )
    assert counts == {"read": 4, "written": 2, "rejected": {}}
    assert table.to_pylist() == [
        {
            "statecode": "OH",
            "state": "Ohio",
            "medianage": 50.0,
            "malepopulation": 1,
            "femalepopulation": 2,
            "totalpopulation": 3,
            "numberofveterans": 4,
            "foreignborn": 5,
            "averagehouseholdsize": 2.5,
        },
        {
            "statecode": "OR",
            "state": "Oregon",
            "medianage": 37.5,
            "malepopulation": 190,
            "femalepopulation": 210,
            "totalpopulation": 400,
            "numberofveterans": 15,
            "foreignborn": 50,
            "averagehouseholdsize": 3.5,
        },
    ]
    types = [str(field.type) for field in table.schema]
    assert types == ["string", "string", "double", *["int64"] * 5, "double"]


def test_a_city_with_a_blank_figure_is_left_out_of_that_mean(states):
    _, table, _ = states(
        "Salem;Oregon;30.0;;60;100;;20;;OR;White;70",
        "Eugene;Oregon;x;150;150;300;5;30;4.0;OR;White;300",
    )
    (row,) = table.to_pylist()
    assert (row["medianage"], row["averagehouseholdsize"]) == (30.0, 4.0)
    assert (row["malepopulation"], row["numberofveterans"], row["totalpopulation"]) == (150, 5, 400)


def test_rows_without_a_state_or_city_are_rejected(states):
    counts, _, rejects = states(
        "Salem;Oregon;30.0;40;60;100;10;20;2.0;OR;White;70",
        "Eugene;Oregon;40.0;150;150;300;5;30;4.0;;White;300",
        ";Oregon;40.0;150;150;300;5;30;4.0;OR;White;300",
    )
    assert counts == {"read": 3, "written": 1, "rejected": {"no_city": 1, "no_state": 1}}
    assert {(row["City"], row["reason"]) for row in rejects} == {("Eugene", "no_state"), (None, "no_city")}


def test_a_state_code_that_is_not_two_letters_is_rejected_and_never_cut_to_two(states):
    counts, table, rejects = states(
        "Salem;Oregon;30.0;40;60;100;10;20;2.0;OR;White;70",
        "Austin;Texas;30.0;40;60;100;10;20;2.0;Texas;White;70",
        "Memphis;Tennessee;30.0;40;60;100;10;20;2.0;Tennessee;White;70",
        "Reno;Nevada;30.0;40;60;100;10;20;2.0;N;White;70",
        "Fargo;North Dakota;30.0;40;60;100;10;20;2.0;38;White;70",
        HEADER,
    )
    assert counts == {"read": 6, "written": 1, "rejected": {"bad_state_code": 5}}
    assert table["statecode"].to_pylist() == ["OR"]
    assert [row["State Code"] for row in rejects] == ["Texas", "Tennessee", "N", "38", "State Code"]


def test_a_wrong_separator_is_reported_as_missing_columns(states):
    with pytest.raises(
        BadInput, match=r"us-cities-demographics\.csv lacks the columns City, State, Median Age"
    ):
        states(header=HEADER.replace(";", ","))


def test_a_figure_that_no_city_can_have_is_unknown_and_counted_unless_it_says_so(states):
    figures = {"TX": "NaN", "OK": "Infinity", "NM": "1e400", "AZ": "1e30", "CA": "-5", "NV": "many"}
    lines = [
        city
        for code, value in figures.items()
        for city in (
            f"Austin;Texas;30.0;100;100;{value};1;10;2.5;{code};White;1",
            f"Dallas;Texas;40.0;100;100;200;1;10;2.5;{code};White;1",
        )
    ]
    counts, table, _ = states(*lines)
    read = {row["statecode"]: (row["totalpopulation"], row["medianage"]) for row in table.to_pylist()}
    assert read == dict.fromkeys(figures, (200, 40.0))
    assert (counts["notes"], counts["judged_over"]) == (
        {"bad_totalpopulation": 5},
        {"bad_totalpopulation": 11},
    )


def test_figures_of_which_none_can_be_read_are_counted_by_column_with_those_that_are_filled(states):
    counts, table, _ = states(
        "Austin;Texas;30,5;100;100;200;1;10;2,5;TX;White;1",
        "Dallas;Texas;40,5;100;100;200;1;10;;TX;White;1",
        "Laredo;Texas;40,5;100;100;200;1;10;NA;TX;White;1",
    )
    (row,) = table.to_pylist()
    assert (row["medianage"], row["averagehouseholdsize"], row["totalpopulation"]) == (None, None, 600)
    assert counts["notes"] == {"bad_medianage": 3, "bad_averagehouseholdsize": 1}
    assert counts["judged_over"] == {"bad_medianage": 3, "bad_averagehouseholdsize": 1}
