from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from sparkjobs.immigration import airports

HEADER = (
    "ident,type,name,elevation_ft,continent,iso_country,iso_region,municipality,gps_code,iata_code,"
    "local_code,coordinates"
)
KEYS = HEADER.split(",")


def line(**fields):
    known = {"ident": "KSEA", "type": "large_airport", "iso_country": "US", "iso_region": "US-WA"}
    return ",".join({**known, **fields}.get(key, "") for key in KEYS)


@pytest.fixture
def published(tmp_path):
    def write(*lines, header=HEADER, end="\n"):
        path = tmp_path / "airport-codes_csv.csv"
        path.write_text("\n".join([header, *lines]) + end, encoding="utf-8")
        return path

    return write


def kept_rows(folder):
    return sorted(pq.read_table(folder).to_pylist(), key=lambda row: row["ident"])


def test_an_airport_is_written_in_the_warehouses_columns(run_job, published):
    path = published(
        'KSEA,large_airport,"Seattle ""Tacoma"" Airport",433,NA,US,US-WA,Seattle,KSEA,SEA,SEA,"-122.3, 47.4"'
    )
    counts, kept, rejected = run_job(airports, path)
    assert counts == {"read": 1, "written": 1, "rejected": {}}
    assert kept_rows(kept) == [
        {
            "ident": "KSEA",
            "type": "large_airport",
            "name": 'Seattle "Tacoma" Airport',
            "elevationft": 433,
            "iso_country": "US",
            "statecode": "WA",
            "municipality": "Seattle",
            "city": "seattle",
            "gps_code": "KSEA",
            "iata_code": "SEA",
            "local_code": "SEA",
        }
    ]
    assert not rejected.exists()


def test_columns_are_found_by_name_in_any_order_with_an_index_column(run_job, published):
    path = published(
        "7,US-WA,US,,SEA,,KSEA,large_airport,Sea-Tac,,12,Seattle",
        header=",iso_region,iso_country,gps_code,iata_code,local_code,Ident,type,name,continent,elevation_ft,municipality",
    )
    counts, kept, _ = run_job(airports, path)
    (row,) = kept_rows(kept)
    assert counts["written"] == 1
    assert (row["ident"], row["iata_code"], row["elevationft"], row["gps_code"]) == ("KSEA", "SEA", 12, None)


def test_closed_and_nameless_airports_are_rejected_with_their_reason(run_job, published):
    path = published(line(), line(ident="OLD", type="closed"), line(ident=""))
    counts, kept, rejected = run_job(airports, path)
    assert counts == {"read": 3, "written": 1, "rejected": {"closed": 1, "no_ident": 1}}
    assert [row["ident"] for row in kept_rows(kept)] == ["KSEA"]
    rejects = {row["reason"]: row["ident"] for row in pq.read_table(rejected).to_pylist()}
    assert rejects == {"closed": "OLD", "no_ident": None}


@pytest.mark.parametrize("backwards", [False, True])
def test_of_airports_that_share_an_ident_the_largest_open_one_is_kept(run_job, published, backwards):
    lines = [
        line(type="closed", name="closed"),
        line(type="small_airport", name="small"),
        line(type="large_airport", name="large without code"),
        line(type="large_airport", name="large", iata_code="SEA"),
    ]
    counts, kept, _ = run_job(airports, published(*(reversed(lines) if backwards else lines)))
    assert counts == {"read": 4, "written": 1, "rejected": {"closed": 1, "duplicate_ident": 2}}
    assert [row["name"] for row in kept_rows(kept)] == ["large"]


@pytest.mark.parametrize(
    ("country", "region", "state"),
    [
        ("US", "US-TX", "TX"),
        ("PR", "PR-U-A", "PR"),
        ("AU", "AU-U-A", "U-A"),
        ("gu", "", "GU"),
        ("CA", "", None),
    ],
)
def test_the_state_is_the_regions_and_of_a_territory_its_country_code(
    run_job, published, country, region, state
):
    _, kept, _ = run_job(airports, published(line(iso_country=country, iso_region=region)))
    assert [row["statecode"] for row in kept_rows(kept)] == [state]


def test_long_text_is_cut_to_the_columns_bytes_between_characters(run_job, published):
    _, kept, _ = run_job(airports, published(line(name="é" * 200, elevation_ft="high")))
    (row,) = kept_rows(kept)
    assert row["name"] == "é" * 128
    assert row["elevationft"] is None


def test_the_files_types_match_the_warehouses(run_job, published):
    _, kept, _ = run_job(airports, published(line()))
    types = {field.name: str(field.type) for field in pq.read_table(kept).schema}
    assert types.pop("elevationft") == "int32"
    assert set(types.values()) == {"string"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty.*Upload"),
        (HEADER + "\n", "is empty.*no row"),
        (HEADER.replace("iso_region", "region") + "\n" + line() + "\n", "lacks the column iso_region"),
        (HEADER + "\n" + line() + "\nKPDX,large_airp", "do not match its header.*KPDX,large_airp.*Upload"),
    ],
    ids=["empty", "header only", "column missing", "cut off"],
)
def test_the_error_names_a_bad_file_and_what_is_wrong_with_it(run_job, tmp_path, content, message):
    path = tmp_path / "airport-codes_csv.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"(?s)airport-codes_csv.csv .*{message}"):
        run_job(airports, path)


def test_the_error_names_a_missing_file(run_job, tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.csv does not exist"):
        run_job(airports, tmp_path / "nowhere.csv")
