from __future__ import annotations

from datetime import date

import pyarrow.parquet as pq
import pytest

from sparkjobs.immigration import arrivals
from tests.sparkjobs import i94


@pytest.fixture
def arrive(run_job, tmp_path):
    """`arrive(*rows)` → (counts, kept rows, rejected rows by cicid) of a Parquet source."""

    def run(*rows, window=("2016-04-01", "2016-05-01"), files=1):
        source = i94.write_parquet(tmp_path, *rows, files=files)
        return outcome(run_job(arrivals, source, i94.write_labels(tmp_path), window=window))

    return run


def outcome(result):
    counts, kept, rejected = result
    rows = [row for path in kept.rglob("*.parquet") for row in pq.ParquetFile(path).read().to_pylist()]
    rejects = pq.read_table(rejected).to_pylist() if rejected.exists() else []
    return counts, sorted(rows, key=lambda row: row["cicid"]), rejects


EXPECTED = {
    "cicid": 1,
    "arrivedate": date(2016, 4, 1),
    "departdate": date(2016, 4, 10),
    "addressto": "WA",
    "portcode": "SEA",
    "portofentrycity": "seattle",
    "citizenship": "JAPAN",
    "citizenshipbasis": "published",
    "resident": "MEXICO Air Sea, and Not Reported (I-94, no land arrivals)",
    "residentbasis": "published",
    "mode": "Air",
    "visa": "Pleasure",
    "visatype": "WT",
    "age": 61,
    "birthyear": 1955,
    "gender": "F",
    "occupation": "Nil",
    "visapost": "Nil",
    "arrivalflag": "G",
    "departureflag": "O",
    "updateflag": "Nil",
    "matchflag": "M",
    "admitteddate": "2016-06-29",
    "airline": "JL",
    "flight_no": "00782",
    "issuancenum": "Nil",
    "admissionnum": "56582674633",
}


def test_an_arrival_is_written_in_the_warehouses_columns_in_order(run_job, tmp_path):
    source = i94.write_parquet(tmp_path, {})
    counts, kept, rejected = run_job(arrivals, source, i94.write_labels(tmp_path))
    assert counts == {"read": 1, "written": 1, "rejected": {}, "notes": {"outside_window": 0}}
    (path,) = kept.rglob("*.parquet")
    assert path.parent == kept / "year=2016" / "month=4"
    table = pq.ParquetFile(path).read()
    assert table.to_pylist() == [EXPECTED]
    assert table.column_names == list(EXPECTED)
    types = {field.name: str(field.type) for field in table.schema}
    assert [types.pop(name) for name in ("cicid", "arrivedate", "departdate", "age", "birthyear")] == [
        "int64",
        "date32[day]",
        "date32[day]",
        "int32",
        "int32",
    ]
    assert set(types.values()) == {"string"}
    assert not rejected.exists()


@pytest.mark.parametrize(
    "columns", [("", *i94.COLUMNS), tuple(reversed(i94.COLUMNS))], ids=["index", "reversed"]
)
def test_the_csv_form_gives_the_same_whatever_its_columns_order(run_job, tmp_path, columns):
    source = i94.write_csv(tmp_path, {}, {"cicid": 2.0, "i94mode": 2.0}, columns=columns)
    counts, rows, rejects = outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))
    assert counts == {"read": 2, "written": 1, "rejected": {"not_by_air": 1}, "notes": {"outside_window": 0}}
    assert rows == [EXPECTED]
    assert [row["reason"] for row in rejects] == ["not_by_air"]


def test_a_cicid_repeated_in_e_notation_is_kept_once(run_job, tmp_path):
    # As Spark writes a double to CSV from ten million on.
    source = i94.write_csv(tmp_path, {"cicid": "1.2345678E7"}, {"cicid": "1.2345678E7", "fltno": "00001"})
    counts, rows, rejects = outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))
    assert (counts["written"], counts["rejected"]) == (1, {"duplicate_cicid": 1})
    assert [(row["cicid"], row["flight_no"]) for row in rows] == [(12_345_678, "00001")]
    assert [row["reason"] for row in rejects] == ["duplicate_cicid"]


def test_a_departure_an_age_or_a_birth_year_that_is_unreadable_is_counted(run_job, tmp_path):
    source = i94.write_csv(
        tmp_path,
        {"cicid": 1.0, "depdate": "soon", "i94bir": "old", "biryear": "?"},
        {"cicid": 2.0, "depdate": -5.0, "i94bir": None, "biryear": " "},
        {"cicid": 3.0, "depdate": "NaN", "i94bir": " ", "biryear": "19 55"},
        {"cicid": 4.0},
        {"cicid": 5.0, "i94mode": 2.0, "depdate": "rejected anyway"},
    )
    counts, rows, _ = outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))
    assert counts["notes"] == {
        "outside_window": 0,
        "bad_departure_date": 2,
        "bad_age": 1,
        "bad_birthyear": 2,
    }
    unreadable = [(row["departdate"], row["age"], row["birthyear"]) for row in rows]
    assert unreadable[:3] == [(None, None, None)] * 3
    assert None not in unreadable[3]


def test_unknown_codes_and_unreadable_values_become_words_or_nulls(arrive):
    counts, rows, _ = arrive(
        {"cicid": 1.0, "i94cit": 999.0, "i94res": None, "i94port": "QQQ", "i94visa": 7.0},
        {"cicid": 2.0, "i94addr": "NY NEW YORK", "i94port": None, "dtaddto": "D/S", "i94bir": None},
        {"cicid": 3.0, "i94addr": "  ", "dtaddto": "02302016", "depdate": None, "admnum": None},
        {"cicid": 4.0, "i94port": "WAS", "dtaddto": None, "biryear": float("nan"), "depdate": -5.0},
        {"cicid": 5.0, "i94port": "INT ", "occup": "é" * 40, "depdate": float("nan"), "i94cit": float("nan")},
    )
    assert counts["written"] == 5
    assert counts["notes"] == {
        "outside_window": 0,
        "unknown_citizenship": 1,
        "unknown_port": 1,
        "unknown_visa": 1,
        "bad_departure_date": 1,
    }
    seen = [{name: row[name] for name in row if row[name] != EXPECTED[name]} for row in rows]
    assert seen == [
        {
            "citizenship": "Unknown (999)",
            "citizenshipbasis": "unknown",
            "resident": "Nil",
            "residentbasis": None,
            "portcode": "QQQ",
            "portofentrycity": "unknown (qqq)",
            "visa": "Unknown (7)",
        },
        {
            "cicid": 2,
            "addressto": "NY",
            "portcode": "Nil",
            "portofentrycity": "Nil",
            "admitteddate": "D/S",
            "age": None,
        },
        {
            "cicid": 3,
            "addressto": "Nil",
            "admitteddate": "02302016",
            "departdate": None,
            "admissionnum": "Nil",
        },
        {
            "cicid": 4,
            "portcode": "WAS",
            "portofentrycity": "washington",
            "admitteddate": "Nil",
            "birthyear": None,
            "departdate": None,
        },
        {
            "cicid": 5,
            "portcode": "INT",
            "portofentrycity": "int'l falls",
            "occupation": "é" * 16,
            "departdate": None,
            "citizenship": "Nil",
            "citizenshipbasis": None,
        },
    ]


def test_codes_that_the_label_file_lacks_are_inferred_and_say_so(arrive):
    counts, rows, _ = arrive(
        {"cicid": 1.0, "i94cit": 148.0, "i94res": 746.0},
        {"cicid": 2.0, "i94cit": 254.0, "i94res": 252.0},
        {"cicid": 3.0, "i94cit": 133.0},
    )
    assert counts["notes"] == {"outside_window": 0, "inferred_citizenship": 3, "inferred_resident": 2}
    assert [(row["citizenship"], row["citizenshipbasis"]) for row in rows] == [
        ("GERMANY", "inferred"),
        ("SOUTH KOREA", "inferred"),
        ("TURKEY", "inferred"),
    ]
    assert [(row["resident"], row["residentbasis"]) for row in rows[:2]] == [
        ("RUSSIA", "inferred"),
        ("JAPAN", "inferred"),
    ]


def test_a_label_of_the_label_file_counts_before_an_inferred_one(run_job, tmp_path):
    text = i94.LABELS.replace("   209 =", "   148 =  'GERMANY, FED. REP.'\n   209 =")
    source = i94.write_parquet(tmp_path, {"i94cit": 148.0})
    counts, (row,), _ = outcome(run_job(arrivals, source, i94.write_labels(tmp_path, text)))
    assert (row["citizenship"], row["citizenshipbasis"]) == ("GERMANY, FED. REP.", "published")
    assert "inferred_citizenship" not in counts["notes"]


def test_a_code_that_is_no_port_by_its_label_is_an_unknown_port(arrive):
    counts, (row,), _ = arrive({"i94port": "AG"})
    assert (row["portcode"], row["portofentrycity"]) == ("AG", "unknown (ag)")
    assert counts["notes"]["unknown_port"] == 1


def test_rows_that_do_not_qualify_are_rejected_with_their_reason(arrive):
    counts, rows, rejects = arrive(
        {},
        {"cicid": None},
        {"cicid": 2.5},
        {"cicid": 3.0, "arrdate": None},
        {"cicid": 4.0, "arrdate": -1.0},
        {"cicid": 5.0, "i94mode": None},
        {"cicid": 6.0, "i94mode": 3.0},
        {"cicid": 7.0, "i94bir": -3.0},
    )
    reasons = {"no_cicid": 2, "bad_arrival_date": 2, "mode_missing": 1, "not_by_air": 1, "age_negative": 1}
    assert counts["rejected"] == reasons
    assert counts["read"] == 8
    assert [row["cicid"] for row in rows] == [1]
    assert {(row["cicid"], row["reason"]) for row in rejects} == {
        (None, "no_cicid"),
        (2.5, "no_cicid"),
        (3.0, "bad_arrival_date"),
        (4.0, "bad_arrival_date"),
        (5.0, "mode_missing"),
        (6.0, "not_by_air"),
        (7.0, "age_negative"),
    }
    assert set(rejects[0]) == {*i94.COLUMNS, "reason"}


REPEATED = (
    {"cicid": 9.0, "dtadfile": "20160401", "fltno": "00001", "depdate": 20600.0},
    {"cicid": 9.0, "dtadfile": "20160402", "fltno": "00002", "depdate": None},
    {"cicid": 9.0, "dtadfile": "20160402", "fltno": "00003", "depdate": 20590.0, "arrdate": i94.APRIL_1 + 1},
    {"cicid": 9.0, "dtadfile": "20160402", "fltno": "00004", "depdate": 20580.0},
    {"cicid": 9.0, "dtadfile": "20160409", "fltno": "00005", "i94mode": 2.0},
    {"cicid": 10.0},
    {"cicid": 10.0},
    {"cicid": 11.0},
)


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("order", [1, -1])
def test_of_rows_that_share_a_cicid_the_last_filed_is_kept_in_any_order(arrive, files, order):
    counts, rows, rejects = arrive(*REPEATED[::order], files=files)
    assert counts["read"] == 8
    assert counts["rejected"] == {"duplicate_cicid": 4, "not_by_air": 1}
    assert [(row["cicid"], row["flight_no"]) for row in rows] == [(9, "00003"), (10, "00782"), (11, "00782")]
    assert sorted((row["fltno"], row["reason"]) for row in rejects) == [
        ("00001", "duplicate_cicid"),
        ("00002", "duplicate_cicid"),
        ("00004", "duplicate_cicid"),
        ("00005", "not_by_air"),
        ("00782", "duplicate_cicid"),
    ]


def test_single_days_give_the_same_rows_as_the_whole_window(arrive):
    rows = [
        *REPEATED,
        {"cicid": 12.0, "arrdate": i94.APRIL_1 + 1},
        {"cicid": 13.0, "arrdate": i94.APRIL_1 + 40},
    ]
    whole, kept, _ = arrive(*rows)
    first, kept_first, _ = arrive(*rows, window=("2016-04-01", "2016-04-02"))
    second, kept_second, _ = arrive(*rows, window=("2016-04-02", "2016-04-03"))
    assert sorted([*kept_first, *kept_second], key=lambda row: row["cicid"]) == kept
    assert (first["notes"]["outside_window"], second["notes"]["outside_window"]) == (3, 8)
    assert whole["read"] == first["read"] + second["read"] == 9
    assert first["rejected"] == {"duplicate_cicid": 4, "not_by_air": 1}
    assert second["rejected"] == {}


def test_a_window_without_data_is_zero_rows(arrive):
    counts, rows, _ = arrive({}, window=("2015-01-01", "2015-01-02"))
    assert counts == {"read": 0, "written": 0, "rejected": {}, "notes": {"outside_window": 1}}
    assert rows == []


def test_the_error_names_a_truncated_parquet_file(run_job, tmp_path):
    source = i94.write_parquet(tmp_path, {}, {"cicid": 2.0}, files=2)
    part = source / "part-1.parquet"
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"(?s)sas_data/.*part-1\.parquet.*Upload the whole file again"):
        run_job(arrivals, source, i94.write_labels(tmp_path))


def test_the_error_names_a_parquet_file_with_damaged_pages(run_job, tmp_path):
    source = i94.write_parquet(tmp_path, *({"cicid": float(n)} for n in range(2000)))
    part = source / "part-0.parquet"
    content = bytearray(part.read_bytes())
    content[4:400] = b"\xff" * 396
    part.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"(?s)sas_data/.*Upload the whole file again"):
        run_job(arrivals, source, i94.write_labels(tmp_path))


def test_the_error_names_a_missing_column(run_job, tmp_path):
    source = i94.write_parquet(tmp_path, {})
    part = source / "part-0.parquet"
    pq.write_table(pq.read_table(part).drop_columns(["arrdate"]), part)
    with pytest.raises(ValueError, match=r"sas_data/ lacks the column arrdate"):
        run_job(arrivals, source, i94.write_labels(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"is empty"),
        (",".join(i94.COLUMNS) + "\n", r"is empty.*no row"),
        (",".join(i94.COLUMNS) + "\n1.0,2016.0,4.0,20", r"do not match its header.*1\.0,2016\.0,4\.0,20"),
    ],
    ids=["empty", "header only", "cut off"],
)
def test_the_error_names_a_bad_csv_and_what_is_wrong_with_it(run_job, tmp_path, content, message):
    source = tmp_path / "immigrationData.csv"
    source.write_text(content)
    with pytest.raises(ValueError, match=rf"(?s)immigrationData\.csv .*{message}"):
        run_job(arrivals, source, i94.write_labels(tmp_path))


def test_the_error_names_a_folder_without_parquet(run_job, tmp_path):
    (tmp_path / "sas_data").mkdir()
    with pytest.raises(ValueError, match=r"sas_data/"):
        run_job(arrivals, tmp_path / "sas_data", i94.write_labels(tmp_path))


@pytest.mark.parametrize(
    "text", ["", i94.LABELS[: i94.LABELS.index("value i94model")]], ids=["empty", "cut off"]
)
def test_the_error_names_a_label_file_without_its_sections(run_job, tmp_path, text):
    source = i94.write_parquet(tmp_path, {})
    with pytest.raises(ValueError, match=r"Descriptions\.SAS has no codes for .*i94model.*Upload"):
        run_job(arrivals, source, i94.write_labels(tmp_path, text))
