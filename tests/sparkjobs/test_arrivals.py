from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkjobs.errors import BadInput
from sparkjobs.immigration import arrivals
from tests.sparkjobs import i94


@pytest.fixture
def arrive(run_job, tmp_path):
    """`arrive(*rows)` → (counts, kept rows by key, rejected rows) of a Parquet source."""

    def run(*rows, window=("2016-04-01", "2016-05-01"), files=1, types=()):
        source = i94.write_parquet(tmp_path, *rows, files=files, types=dict(types))
        return outcome(run_job(arrivals, source, i94.write_labels(tmp_path), window=window))

    return run


def outcome(result):
    counts, kept, rejected = result
    rows = [row for path in kept.rglob("*.parquet") for row in pq.ParquetFile(path).read().to_pylist()]
    rejects = pq.read_table(rejected).to_pylist() if rejected.exists() else []
    return counts, sorted(rows, key=lambda row: row["tourist_id"]), rejects


APRIL = 201604 * 10**10  # what the keys of April 2016's file begin with
EXPECTED = {
    "tourist_id": APRIL + 1,
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
    assert counts == {
        "read": 1,
        "written": 1,
        "rejected": {},
        "judged_over": {},
        "notes": {"outside_window": 0},
    }
    (path,) = kept.rglob("*.parquet")
    assert path.parent == kept / "year=2016" / "month=4"
    table = pq.ParquetFile(path).read()
    assert table.to_pylist() == [EXPECTED]
    assert table.column_names == list(EXPECTED)
    types = {field.name: str(field.type) for field in table.schema}
    assert [types.pop(name) for name in ("tourist_id", "arrivedate", "departdate", "age", "birthyear")] == [
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
    assert counts == {
        "read": 2,
        "written": 1,
        "rejected": {"not_by_air": 1},
        "judged_over": {},
        "notes": {"outside_window": 0},
    }
    assert rows == [EXPECTED]
    assert [row["reason"] for row in rejects] == ["not_by_air"]


def test_a_record_repeated_in_e_notation_is_kept_once(run_job, tmp_path):
    # As Spark writes a double to CSV from ten million on.
    source = i94.write_csv(tmp_path, {"cicid": "1.2345678E7"}, {"cicid": "1.2345678E7", "fltno": "00001"})
    counts, rows, rejects = outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))
    assert (counts["written"], counts["rejected"]) == (1, {"duplicate_tourist_id": 1})
    assert [(row["tourist_id"], row["flight_no"]) for row in rows] == [(APRIL + 12_345_678, "00001")]
    assert [row["reason"] for row in rejects] == ["duplicate_tourist_id"]


def test_a_departure_an_age_a_birth_year_or_a_visa_that_is_unreadable_is_counted(run_job, tmp_path):
    source = i94.write_csv(
        tmp_path,
        {"cicid": 1.0, "depdate": "soon", "i94bir": "old", "biryear": "?", "i94visa": "Pleasure"},
        {"cicid": 2.0, "depdate": -5.0, "i94bir": None, "biryear": " "},
        {"cicid": 3.0, "depdate": "NaN", "i94bir": "NA", "biryear": "19 55"},
        {"cicid": 4.0},
        {"cicid": 5.0, "i94mode": 2.0, "depdate": "rejected anyway"},
    )
    counts, rows, _ = outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))
    assert counts["notes"] == {
        "outside_window": 0,
        "bad_departure_date": 2,
        "bad_age": 1,
        "bad_birthyear": 2,
        "bad_visa": 1,
    }
    assert counts["judged_over"] == {
        "bad_departure_date": 3,
        "bad_age": 2,
        "bad_birthyear": 3,
        "bad_visa": 4,
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
            "tourist_id": APRIL + 2,
            "addressto": "NY",
            "portcode": "Nil",
            "portofentrycity": "Nil",
            "admitteddate": "D/S",
            "age": None,
        },
        {
            "tourist_id": APRIL + 3,
            "addressto": "Nil",
            "admitteddate": "02302016",
            "departdate": None,
            "admissionnum": "Nil",
        },
        {
            "tourist_id": APRIL + 4,
            "portcode": "WAS",
            "portofentrycity": "washington",
            "admitteddate": "Nil",
            "birthyear": None,
            "departdate": None,
        },
        {
            "tourist_id": APRIL + 5,
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
        {"cicid": -1.0},
        {"cicid": 1e10},
        {"cicid": float("inf")},
        {"cicid": 3.0, "arrdate": None},
        {"cicid": 4.0, "arrdate": -1.0},
        {"cicid": None, "arrdate": float("nan")},
        {"cicid": 5.0, "i94mode": None},
        {"cicid": 6.0, "i94mode": 3.0},
        {"cicid": 7.0, "i94bir": -3.0},
        {"cicid": 8.0, "i94yr": None},
        {"cicid": 9.0, "i94yr": 16.0},
        {"cicid": 10.0, "i94yr": 2016.5},
        {"cicid": 11.0, "i94mon": None},
        {"cicid": 12.0, "i94mon": 0.0},
        {"cicid": 13.0, "i94mon": 13.0},
        {"cicid": 14.0, "i94mon": 4.5},
    )
    assert counts["rejected"] == {
        "age_negative": 1,
        "bad_arrival_date": 3,
        "mode_missing": 1,
        "no_cicid": 5,
        "no_file_month": 7,
        "not_by_air": 1,
    }
    assert (counts["read"], counts["written"]) == (19, 1)
    assert [row["tourist_id"] for row in rows] == [APRIL + 1]
    assert {(row["cicid"], row["reason"]) for row in rejects} == {
        *((cicid, "no_cicid") for cicid in (None, 2.5, -1.0, 1e10, float("inf"))),
        *((cicid, "bad_arrival_date") for cicid in (3.0, 4.0, None)),
        (5.0, "mode_missing"),
        (6.0, "not_by_air"),
        (7.0, "age_negative"),
        *((float(cicid), "no_file_month") for cicid in range(8, 15)),
    }
    assert set(rejects[0]) == {*i94.COLUMNS, "reason"}


def test_a_number_that_an_integer_cannot_hold_is_unreadable(arrive):
    counts, rows, _ = arrive({"i94bir": float("inf"), "biryear": 1e10, "i94visa": float("-inf")})
    assert (rows[0]["age"], rows[0]["birthyear"], rows[0]["visa"]) == (None, None, "Nil")
    assert counts["notes"] == {"outside_window": 0, "bad_age": 1, "bad_birthyear": 1, "bad_visa": 1}


@pytest.mark.parametrize("number", [pa.float64(), pa.int64()])
def test_a_text_that_a_copy_has_as_a_number_has_its_digits_and_its_date(arrive, number):
    counts, rows, _ = arrive(
        {"dtaddto": 6292016, "fltno": 782, "insnum": 3589},
        {"cicid": 2.0, "dtaddto": 12312016, "fltno": None, "insnum": None},
        types=dict.fromkeys(("dtaddto", "fltno", "insnum"), number).items(),
    )
    read = [(row["admitteddate"], row["flight_no"], row["issuancenum"]) for row in rows]
    assert read == [("2016-06-29", "782", "3589"), ("2016-12-31", "Nil", "Nil")]
    assert counts["notes"] == {"outside_window": 0}


def test_one_cicid_in_three_monthly_files_is_three_people(arrive):
    months = (
        {"cicid": 6.0, "i94mon": 4.0, "arrdate": i94.APRIL_1, "airline": "AA"},
        {"cicid": 6.0, "i94mon": 1.0, "arrdate": i94.APRIL_1 - 91, "airline": "BB"},
        {"cicid": 6.0, "i94mon": 5.0, "arrdate": i94.APRIL_1 + 31, "airline": "CC"},
    )
    counts, rows, _ = arrive(*months, window=("2016-01-01", "2017-01-01"))
    assert counts["rejected"] == {}
    assert [(row["tourist_id"], row["airline"]) for row in rows] == [
        (2016_01_0000000006, "BB"),
        (2016_04_0000000006, "AA"),
        (2016_05_0000000006, "CC"),
    ]


def test_twelve_months_whose_cicids_begin_anew_are_the_same_rows_as_a_year_or_in_parts(arrive):
    starts = [date(2016, month, 1) for month in range(1, 13)] + [date(2017, 1, 1)]
    year = [
        {
            "cicid": float(cicid),
            "i94mon": float(start.month),
            "arrdate": float((start - date(1960, 1, 1)).days + cicid % 28),
            "fltno": f"{start.month:02d}{cicid:03d}",
        }
        for start in starts[:-1]
        for cicid in range(1, 41)
    ]
    # Of one month a record comes twice, and of another with a date in the month after its file's.
    year += [{**year[0], "dtadfile": "20170101", "fltno": "again"}]
    year[41]["arrdate"] += 31
    counts, whole, _ = arrive(*year, window=("2016-01-01", "2017-01-01"), files=3)
    assert (counts["written"], counts["rejected"]) == (480, {"duplicate_tourist_id": 1})
    assert len({row["tourist_id"] for row in whole}) == 480
    parts = [
        arrive(*year, window=(start.isoformat(), end.isoformat()))
        for start, end in pairwise([*starts[:3], starts[-1]])
    ]
    assert [counts["written"] for counts, _, _ in parts] == [40, 39, 401]
    in_parts = [row for _, rows, _ in parts for row in rows]
    assert sorted(in_parts, key=lambda row: row["tourist_id"]) == whole


def test_a_record_with_a_corrected_date_of_arrival_keeps_its_key(arrive):
    _, before, _ = arrive({"cicid": 6.0, "arrdate": i94.APRIL_1})
    _, after, _ = arrive({"cicid": 6.0, "arrdate": i94.APRIL_1 + 30}, window=("2016-05-01", "2016-06-01"))
    assert before[0]["tourist_id"] == after[0]["tourist_id"]


def test_a_date_in_text_is_read(run_job, tmp_path):
    texts = [
        *("2016-04-03", "2016-4-3", "2016-04-03T23:30:00Z", "2016-04-03 00:00:00", "03APR2016", "03Apr2016"),
        *("20547", "20547.0", "2.0547E4"),
    ]
    source = i94.write_csv(
        tmp_path, *({"cicid": n, "arrdate": text, "depdate": text} for n, text in enumerate(texts))
    )
    counts, rows, _ = outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))
    assert (counts["rejected"], counts["notes"]) == ({}, {"outside_window": 0})
    assert [(row["arrivedate"], row["departdate"]) for row in rows] == [(date(2016, 4, 3),) * 2] * len(texts)


@pytest.mark.parametrize(
    "value",
    [date(2016, 4, 3), datetime(2016, 4, 3, 23, 30), datetime(2016, 4, 3, 23, 30, tzinfo=UTC)],
    ids=["date", "timestamp", "instant"],
)
def test_a_date_of_another_type_is_read(arrive, value):
    types = {name: pa.array([value]).type for name in ("arrdate", "depdate")}
    counts, rows, _ = arrive(
        {"arrdate": value, "depdate": value},
        {"cicid": 2.0, "arrdate": value, "depdate": None},
        {"cicid": 3.0, "arrdate": None, "depdate": value},
        types=types,
    )
    assert (counts["rejected"], counts["notes"]) == ({"bad_arrival_date": 1}, {"outside_window": 0})
    day = date(2016, 4, 3)
    assert [(row["arrivedate"], row["departdate"]) for row in rows] == [(day, day), (day, None)]


def test_a_date_that_is_unclear_is_rejected_or_unknown(run_job, tmp_path):
    texts = [
        *("2016-02-30", "30FEB2016", "03/04/2016", "20160403", "April 3", "1959-12-31", "10000-01-01"),
        *("-1", "03APX2016", "2016-04-03x"),
    ]
    source = i94.write_csv(
        tmp_path,
        *({"cicid": n, "arrdate": text} for n, text in enumerate(texts)),
        *({"cicid": n + 100, "depdate": text} for n, text in enumerate(texts)),
    )
    counts, rows, rejects = outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))
    assert counts["rejected"] == {"bad_arrival_date": len(texts)}
    assert counts["notes"] == {"outside_window": 0, "bad_departure_date": len(texts)}
    assert {row["departdate"] for row in rows} == {None}
    assert sorted(row["arrdate"] for row in rejects) == sorted(texts)


def test_rows_without_a_date_are_judged_over_the_whole_source(arrive):
    undated = [{"cicid": float(number), "arrdate": None} for number in range(2, 5)]
    counts, _, _ = arrive({}, *undated, window=("2016-04-09", "2016-04-10"))
    assert (counts["read"], counts["written"], counts["rejected"]) == (3, 0, {"bad_arrival_date": 3})
    assert counts["judged_over"] == {"bad_arrival_date": 4}


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
def test_of_rows_that_share_a_key_the_last_filed_is_kept_in_any_order(arrive, files, order):
    counts, rows, rejects = arrive(*REPEATED[::order], files=files)
    assert counts["read"] == 8
    assert counts["rejected"] == {"duplicate_tourist_id": 4, "not_by_air": 1}
    assert [(row["tourist_id"] - APRIL, row["flight_no"]) for row in rows] == [
        (9, "00003"),
        (10, "00782"),
        (11, "00782"),
    ]
    assert sorted((row["fltno"], row["reason"]) for row in rejects) == [
        ("00001", "duplicate_tourist_id"),
        ("00002", "duplicate_tourist_id"),
        ("00004", "duplicate_tourist_id"),
        ("00005", "not_by_air"),
        ("00782", "duplicate_tourist_id"),
    ]


# Text order has "61.0" after "100.0", "99" after "12345678" and "9999.0" after "20590.0".
TIED = (
    {"cicid": 9.0, "i94bir": 100.0, "fltno": "00001"},
    {"cicid": 9.0, "i94bir": 61.0, "fltno": "00002"},
    {"cicid": 10.0, "admnum": 99.0, "fltno": "00003"},
    {"cicid": 10.0, "admnum": 12345678.0, "fltno": "00004"},
    {"cicid": 11.0, "i94visa": None, "fltno": "00005"},
    {"cicid": 11.0, "i94visa": 1.0, "fltno": "00006"},
    {"cicid": 12.0, "depdate": 9999.0, "fltno": "00007"},
    {"cicid": 12.0, "depdate": 20590.0, "fltno": "00008"},
    {"cicid": 13.0, "i94port": "SEA", "fltno": "00009"},
    {"cicid": 13.0, "i94port": "WAS", "fltno": "00010"},
)


def test_of_duplicates_that_tie_both_forms_of_the_source_keep_the_same(arrive, run_job, tmp_path):
    kept = [(9, "00002"), (10, "00003"), (11, "00005"), (12, "00008"), (13, "00009")]
    _, of_parquet, _ = arrive(*TIED, files=2)
    in_text = [
        {
            **row,
            "admnum": f"{row.get('admnum', 5):.0f}",
            "i94cit": "209" if row.get("i94port") == "WAS" else "209.0",
            "depdate": date.fromordinal(date(1960, 1, 1).toordinal() + int(row.get("depdate", 20554))),
        }
        for row in TIED
    ]
    source = i94.write_csv(tmp_path, *reversed(in_text))
    _, of_csv, _ = outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))
    for rows in (of_parquet, of_csv):
        assert [(row["tourist_id"] - APRIL, row["flight_no"]) for row in rows] == kept


def test_single_days_give_the_same_rows_as_the_whole_window(arrive):
    rows = [
        *REPEATED,
        {"cicid": 12.0, "arrdate": i94.APRIL_1 + 1},
        {"cicid": 13.0, "arrdate": i94.APRIL_1 + 40},
    ]
    whole, kept, _ = arrive(*rows)
    first, kept_first, _ = arrive(*rows, window=("2016-04-01", "2016-04-02"))
    second, kept_second, _ = arrive(*rows, window=("2016-04-02", "2016-04-03"))
    assert sorted([*kept_first, *kept_second], key=lambda row: row["tourist_id"]) == kept
    assert (first["notes"]["outside_window"], second["notes"]["outside_window"]) == (3, 8)
    assert whole["read"] == first["read"] + second["read"] == 9
    assert first["rejected"] == {"duplicate_tourist_id": 4, "not_by_air": 1}
    assert second["rejected"] == {}


def test_a_window_without_data_is_zero_rows(arrive):
    counts, rows, _ = arrive({}, window=("2015-01-01", "2015-01-02"))
    assert counts == {
        "read": 0,
        "written": 0,
        "rejected": {},
        "judged_over": {},
        "notes": {"outside_window": 1},
    }
    assert rows == []


def test_the_error_names_a_truncated_parquet_file(run_job, tmp_path):
    source = i94.write_parquet(tmp_path, {}, {"cicid": 2.0}, files=2)
    part = source / "part-1.parquet"
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(BadInput, match=r"(?s)sas_data/.*part-1\.parquet.*Upload the whole file again"):
        run_job(arrivals, source, i94.write_labels(tmp_path))


def test_the_error_names_a_parquet_file_with_damaged_pages(run_job, tmp_path):
    source = i94.write_parquet(tmp_path, *({"cicid": float(n)} for n in range(2000)))
    part = source / "part-0.parquet"
    content = bytearray(part.read_bytes())
    content[4:400] = b"\xff" * 396
    part.write_bytes(bytes(content))
    with pytest.raises(BadInput, match=r"(?s)sas_data/part-0\.parquet cannot be read.*Replace it"):
        run_job(arrivals, source, i94.write_labels(tmp_path))


def test_the_error_names_a_missing_column(run_job, tmp_path):
    source = i94.write_parquet(tmp_path, {})
    part = source / "part-0.parquet"
    pq.write_table(pq.read_table(part).drop_columns(["arrdate"]), part)
    with pytest.raises(BadInput, match=r"sas_data/part-0\.parquet lacks the column arrdate"):
        run_job(arrivals, source, i94.write_labels(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"is empty"),
        (",".join(i94.COLUMNS) + "\n", r"is empty.*no row"),
        (",".join(i94.COLUMNS) + "\n1.0,2016.0,4.0,20", r"was cut off.*1\.0,2016\.0,4\.0,20"),
    ],
    ids=["empty", "header only", "cut off"],
)
def test_the_error_names_a_bad_csv_and_what_is_wrong_with_it(run_job, tmp_path, content, message):
    source = tmp_path / "immigrationData.csv"
    source.write_text(content)
    with pytest.raises(BadInput, match=rf"(?s)immigrationData\.csv .*{message}"):
        run_job(arrivals, source, i94.write_labels(tmp_path))


def test_the_error_names_a_folder_without_parquet(run_job, tmp_path):
    (tmp_path / "sas_data").mkdir()
    with pytest.raises(BadInput, match=r"sas_data/"):
        run_job(arrivals, tmp_path / "sas_data", i94.write_labels(tmp_path))


@pytest.mark.parametrize(
    "text", ["", i94.LABELS[: i94.LABELS.index("value i94model")]], ids=["empty", "cut off"]
)
def test_the_error_names_a_label_file_without_its_sections(run_job, tmp_path, text):
    source = i94.write_parquet(tmp_path, {})
    with pytest.raises(BadInput, match=r"Descriptions\.SAS has no codes for .*i94model.*Upload"):
        run_job(arrivals, source, i94.write_labels(tmp_path, text))


def test_a_malformed_line_is_rejected_in_every_window_and_judged_over_the_whole_source(run_job, tmp_path):
    source = i94.write_csv(tmp_path, {"cicid": 1.0}, {"cicid": 2.0})
    source.write_text(source.read_text() + "3,3.0,2016.0\n")
    counts, _, rejected = run_job(arrivals, source, i94.write_labels(tmp_path))
    assert (counts["read"], counts["written"], counts["rejected"]) == (3, 2, {"malformed_row": 1})
    assert counts["judged_over"] == {"malformed_row": 3}
    assert pq.read_table(rejected)["_corrupt"].to_pylist() == ["3,3.0,2016.0"]
