from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkjobs.errors import BadInput
from sparkjobs.immigration import arrivals
from tests.sparkjobs import i94
from tests.sparkjobs.conftest import run_in


@pytest.fixture
def arrive(run_job, tmp_path):
    """`arrive(*rows)` → (counts, kept rows by key, rejected rows) of a Parquet source."""

    def run(*rows, files=1, types=()):
        source = i94.write_parquet(tmp_path, *rows, files=files, types=dict(types))
        return outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))

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
        "notes": {},
    }
    (path,) = kept.rglob("*.parquet")
    assert path.parent == kept / "day=2016-04-01"
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


def test_the_csv_form_gives_the_same_whatever_its_columns_order(run_job, tmp_path):
    i94.write_csv(tmp_path, {}, {"cicid": 2.0, "i94mode": 2.0}, name="csv/index.csv")
    i94.write_csv(
        tmp_path,
        {"cicid": 3.0},
        {"cicid": 4.0, "i94mode": 2.0},
        columns=tuple(reversed(i94.COLUMNS)),
        name="csv/reversed.csv",
    )
    counts, rows, rejects = outcome(run_job(arrivals, tmp_path / "csv", i94.write_labels(tmp_path)))
    assert counts == {
        "read": 4,
        "written": 2,
        "rejected": {"not_by_air": 2},
        "judged_over": {},
        "notes": {},
    }
    assert rows == [EXPECTED, {**EXPECTED, "tourist_id": APRIL + 3}]
    assert [(row["cicid"], row["reason"]) for row in rejects] == [
        ("2.0", "not_by_air"),
        ("4.0", "not_by_air"),
    ]


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


@pytest.fixture(scope="module")
def coded(spark, tmp_path_factory):
    """Notes and rows by cicid of one run, for the tests below."""
    folder = tmp_path_factory.mktemp("coded")
    rows = (
        {"cicid": 1.0, "i94cit": 148.0, "i94res": 746.0},
        {"cicid": 2.0, "i94cit": 254.0, "i94res": 252.0},
        {"cicid": 3.0, "i94cit": 133.0},
        {"cicid": 4.0, "i94port": "AG"},
        {"cicid": 5.0, "i94bir": float("inf"), "biryear": 1e10, "i94visa": float("-inf")},
    )
    source = i94.write_parquet(folder, *rows)
    counts, kept, _ = outcome(run_in(spark, folder, arrivals, source, i94.write_labels(folder)))
    return counts["notes"], {row["tourist_id"] - APRIL: row for row in kept}


def test_codes_that_the_label_file_lacks_are_inferred_and_say_so(coded):
    notes, rows = coded
    assert (notes["inferred_citizenship"], notes["inferred_resident"]) == (3, 2)
    assert [(rows[cicid]["citizenship"], rows[cicid]["citizenshipbasis"]) for cicid in (1, 2, 3)] == [
        ("GERMANY", "inferred"),
        ("SOUTH KOREA", "inferred"),
        ("TURKEY", "inferred"),
    ]
    assert [(rows[cicid]["resident"], rows[cicid]["residentbasis"]) for cicid in (1, 2)] == [
        ("RUSSIA", "inferred"),
        ("JAPAN", "inferred"),
    ]


def test_a_code_that_is_no_port_by_its_label_is_an_unknown_port(coded):
    notes, rows = coded
    assert (rows[4]["portcode"], rows[4]["portofentrycity"]) == ("AG", "unknown (ag)")
    assert notes["unknown_port"] == 1


def test_a_number_that_an_integer_cannot_hold_is_unreadable(coded):
    notes, rows = coded
    assert (rows[5]["age"], rows[5]["birthyear"], rows[5]["visa"]) == (None, None, "Nil")
    assert {name: count for name, count in notes.items() if name.startswith("bad")} == {
        "bad_age": 1,
        "bad_birthyear": 1,
        "bad_visa": 1,
    }


def test_a_note_is_there_only_where_it_counts_something(coded):
    unreadable = {"bad_age", "bad_birthyear", "bad_visa"}
    assert coded[0].keys() == {"inferred_citizenship", "inferred_resident", "unknown_port", *unreadable}


def test_a_label_of_the_label_file_counts_before_an_inferred_one(run_job, tmp_path):
    text = i94.LABELS.replace("   209 =", "   148 =  'GERMANY, FED. REP.'\n   209 =")
    source = i94.write_parquet(tmp_path, {"i94cit": 148.0})
    counts, (row,), _ = outcome(run_job(arrivals, source, i94.write_labels(tmp_path, text)))
    assert (row["citizenship"], row["citizenshipbasis"]) == ("GERMANY, FED. REP.", "published")
    assert "inferred_citizenship" not in counts["notes"]


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


@pytest.mark.parametrize("number", [pa.float64(), pa.int64()])
def test_a_text_that_a_copy_has_as_a_number_has_its_digits_and_its_date(arrive, number):
    counts, rows, _ = arrive(
        {"dtaddto": 6292016, "fltno": 782, "insnum": 3589},
        {"cicid": 2.0, "dtaddto": 12312016, "fltno": None, "insnum": None},
        types=dict.fromkeys(("dtaddto", "fltno", "insnum"), number).items(),
    )
    read = [(row["admitteddate"], row["flight_no"], row["issuancenum"]) for row in rows]
    assert read == [("2016-06-29", "782", "3589"), ("2016-12-31", "Nil", "Nil")]
    assert counts["notes"] == {}


def test_twelve_months_whose_cicids_begin_anew_are_as_many_people(arrive):
    starts = [date(2016, month, 1) for month in range(1, 13)]
    year = [
        {
            "cicid": float(cicid),
            "i94mon": float(start.month),
            "arrdate": float((start - date(1960, 1, 1)).days + cicid % 28),
            "fltno": f"{start.month:02d}{cicid:03d}",
        }
        for start in starts
        for cicid in range(1, 41)
    ]
    # Of one month a record comes twice, and of another with a date in the month after its file's.
    year += [{**year[0], "dtadfile": "20170101", "fltno": "again"}]
    year[41]["arrdate"] += 31
    counts, rows, _ = arrive(*year, files=3)
    assert (counts["written"], counts["rejected"]) == (480, {"duplicate_tourist_id": 1})
    expected = {(2016 * 100 + row["i94mon"]) * 10**10 + row["cicid"]: row["fltno"] for row in year}
    assert {row["tourist_id"]: row["flight_no"] for row in rows} == expected
    assert Counter(row["arrivedate"].month for row in rows) == {1: 40, 2: 39, 3: 41} | dict.fromkeys(
        range(4, 13), 40
    )


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
    assert (counts["rejected"], counts["notes"]) == ({"bad_arrival_date": 1}, {})
    day = date(2016, 4, 3)
    assert [(row["arrivedate"], row["departdate"]) for row in rows] == [(day, day), (day, None)]


def test_a_date_in_text_is_read_and_one_that_is_unclear_is_rejected_or_unknown(run_job, tmp_path):
    clear = [
        *("2016-04-03", "2016-4-3", "2016-04-03T23:30:00Z", "2016-04-03 00:00:00", "03APR2016", "03Apr2016"),
        *("20547", "20547.0", "2.0547E4"),
    ]
    unclear = [
        *("2016-02-30", "30FEB2016", "03/04/2016", "20160403", "April 3", "1959-12-31", "10000-01-01"),
        *("-1", "03APX2016", "2016-04-03x"),
    ]
    source = i94.write_csv(
        tmp_path,
        *({"cicid": n, "arrdate": text, "depdate": text} for n, text in enumerate(clear)),
        *({"cicid": n + 100, "arrdate": text} for n, text in enumerate(unclear)),
        *({"cicid": n + 200, "depdate": text} for n, text in enumerate(unclear)),
    )
    counts, rows, rejects = outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))
    assert counts["rejected"] == {"bad_arrival_date": len(unclear)}
    assert counts["notes"] == {"bad_departure_date": len(unclear)}
    read = {row["tourist_id"] - APRIL: (row["arrivedate"], row["departdate"]) for row in rows}
    assert read == {n: (date(2016, 4, 3),) * 2 for n in range(len(clear))} | {
        n + 200: (date(2016, 4, 1), None) for n in range(len(unclear))
    }
    assert sorted(row["arrdate"] for row in rejects) == sorted(unclear)


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


@pytest.mark.parametrize(("files", "order"), [(1, 1), (3, -1)])
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
    {"cicid": 12_345_678.0, "fltno": "00011"},
    {"cicid": 12_345_678.0, "fltno": "00012"},
)


def test_of_duplicates_that_tie_both_forms_of_the_source_keep_the_same(arrive, run_job, tmp_path):
    kept = [(9, "00002"), (10, "00003"), (11, "00005"), (12, "00008"), (13, "00009"), (12_345_678, "00011")]
    _, of_parquet, _ = arrive(*TIED, files=2)
    in_text = [
        {
            **row,
            # As Spark writes a double to CSV from ten million on: 1.2345678E7.
            "cicid": "1.2345678E7" if row["cicid"] > 1e7 else row["cicid"],
            "admnum": f"{row.get('admnum', 5):.0f}",
            "i94cit": "209" if row.get("i94port") == "WAS" else "209.0",
            "depdate": date.fromordinal(date(1960, 1, 1).toordinal() + int(row.get("depdate", 20554))),
        }
        for row in TIED
    ]
    source = i94.write_csv(tmp_path, *reversed(in_text))
    counts, of_csv, rejects = outcome(run_job(arrivals, source, i94.write_labels(tmp_path)))
    assert (counts["written"], counts["rejected"]) == (6, {"duplicate_tourist_id": 6})
    assert {row["reason"] for row in rejects} == {"duplicate_tourist_id"}
    for rows in (of_parquet, of_csv):
        assert [(row["tourist_id"] - APRIL, row["flight_no"]) for row in rows] == kept


def test_a_days_folder_holds_what_was_written_for_the_window_of_that_day(run_job, tmp_path):
    """Until the output had a folder a day, it was written for a window: the kept rows that arrived in it."""
    rows = [
        *REPEATED,
        {"cicid": 12.0, "arrdate": i94.APRIL_1 + 1},
        {"cicid": 13.0, "arrdate": i94.APRIL_1 + 40},
        {"cicid": 14.0, "arrdate": None},
        {"cicid": 15.0, "arrdate": i94.APRIL_1 + 1, "i94mode": 3.0},
    ]
    source = i94.write_parquet(tmp_path, *rows, files=3)
    counts, kept, rejected = run_job(arrivals, source, i94.write_labels(tmp_path))
    assert counts == {
        "read": 12,
        "written": 5,
        "rejected": {"bad_arrival_date": 1, "duplicate_tourist_id": 4, "not_by_air": 2},
        "judged_over": {},
        "notes": {},
    }
    first = {**EXPECTED, "departdate": date(2016, 4, 10)}
    later = date(2016, 4, 2)
    expected = {
        "day=2016-04-01": [{**first, "tourist_id": APRIL + 10}, {**first, "tourist_id": APRIL + 11}],
        "day=2016-04-02": [
            {
                **first,
                "tourist_id": APRIL + 9,
                "arrivedate": later,
                "departdate": date(2016, 5, 16),
                "flight_no": "00003",
            },
            {**first, "tourist_id": APRIL + 12, "arrivedate": later},
        ],
        "day=2016-05-11": [{**first, "tourist_id": APRIL + 13, "arrivedate": date(2016, 5, 11)}],
    }
    assert {folder.name: outcome((counts, folder, rejected))[1] for folder in kept.glob("*=*")} == expected
    assert len(pq.read_table(rejected)) == 7


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


@pytest.mark.parametrize(
    "text", ["", i94.LABELS[: i94.LABELS.index("value i94model")]], ids=["empty", "cut off"]
)
def test_the_error_names_a_label_file_without_its_sections(run_job, tmp_path, text):
    source = i94.write_parquet(tmp_path, {})
    with pytest.raises(BadInput, match=r"Descriptions\.SAS has no codes for .*i94model.*Upload"):
        run_job(arrivals, source, i94.write_labels(tmp_path, text))


def test_a_malformed_line_is_rejected_with_its_text(run_job, tmp_path):
    source = i94.write_csv(tmp_path, {"cicid": 1.0}, {"cicid": 2.0})
    source.write_text(source.read_text() + "3,3.0,2016.0\n")
    counts, _, rejected = run_job(arrivals, source, i94.write_labels(tmp_path))
    assert (counts["read"], counts["written"], counts["rejected"]) == (3, 2, {"malformed_row": 1})
    assert counts["judged_over"] == {}
    assert pq.read_table(rejected)["_corrupt"].to_pylist() == ["3,3.0,2016.0"]
