from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from sparkjobs.errors import BadInput
from sparkjobs.immigration import airports
from tests.sparkjobs import i94

HEADER = (
    "ident,type,name,elevation_ft,continent,iso_country,iso_region,municipality,gps_code,iata_code,"
    "local_code,coordinates"
)
KEYS = HEADER.split(",")
SEATTLE = {
    "ident": "KSEA",
    "type": "large_airport",
    "name": "Seattle Airport",
    "iso_country": "US",
    "iso_region": "US-WA",
    "municipality": "Seattle",
    "iata_code": "SEA",
}


def line(**fields):
    return ",".join({**SEATTLE, **fields}.get(key, "") for key in KEYS)


@pytest.fixture
def published(tmp_path):
    def write(*lines, header=HEADER, end="\n"):
        path = tmp_path / "airport-codes_csv.csv"
        path.write_text("\n".join([header, *lines]) + end, encoding="utf-8")
        return path

    return write


@pytest.fixture
def locate(run_job, published, tmp_path):
    """`locate(ports, *lines)` → (counts, {portcode: its row}, rejected folder); `ports` are labels by code."""

    def run(ports, *lines, header=HEADER):
        labels = "\n".join(f"   '{code}'\t=\t'{label}'" for code, label in ports.items())
        start, rest = i94.LABELS.split("value $i94prtl\n")
        text = f"{start}value $i94prtl\n{labels}\n;\n{rest.partition(';')[2]}"
        path = i94.write_labels(tmp_path, text)
        counts, kept, rejected = run_job(airports, published(*lines, header=header), path)
        return counts, {row["portcode"]: row for row in pq.read_table(kept).to_pylist()}, rejected

    return run


def chosen(rows):
    """{portcode: (iata code, matchbasis)}"""
    return {port: (row["iata_code"], row["matchbasis"]) for port, row in rows.items()}


def place(state, *entries, country="US"):
    """Lines of large airports, each `iata:municipality:name`, or `iata:municipality:name:type`."""
    lines = []
    for entry in entries:
        iata, municipality, name, *kind = entry.split(":")
        region = f"US-{state}" if country == "US" else f"{country}-{state}"
        lines.append(
            line(
                ident=f"K{iata}",
                iata_code=iata,
                municipality=municipality,
                name=name,
                type=kind[0] if kind else "large_airport",
                iso_country=country,
                iso_region=region,
            )
        )
    return lines


# -- reading -----------------------------------------------------------------------------------


def test_a_port_is_written_with_its_airport_in_the_warehouses_columns(locate):
    counts, rows, rejected = locate(
        {"SEA": "SEATTLE, WA           "},
        'KSEA,large_airport,"Seattle ""Tacoma"" Airport",433,NA,US,US-WA,Seattle,KSEA,SEA,LOC,"-122.3, 47.4"',
    )
    assert counts == {"read": 1, "written": 1, "rejected": {}}
    assert list(rows.values()) == [
        {
            "portcode": "SEA",
            "portofentrycity": "seattle",
            "statecode": "WA",
            "matchbasis": "municipality",
            "ident": "KSEA",
            "type": "large_airport",
            "name": 'Seattle "Tacoma" Airport',
            "elevationft": 433,
            "iso_country": "US",
            "municipality": "Seattle",
            "gps_code": "KSEA",
            "iata_code": "SEA",
            "local_code": "LOC",
        }
    ]
    assert not rejected.exists()


def test_a_port_without_an_airport_has_a_row_and_a_code_that_is_no_port_has_none(locate):
    counts, rows, _ = locate(
        {"BLA": "BLAINE, WA", "AG": "No PORT Code (AG)", "ISP": "Collapsed (FOK) 06/15"}, line()
    )
    assert (counts["written"], rows.keys()) == (1, {"BLA"})
    assert (rows["BLA"].pop("portcode"), rows["BLA"].pop("portofentrycity")) == ("BLA", "blaine")
    assert rows["BLA"].pop("statecode") == "WA"
    assert set(rows["BLA"].values()) == {None}


def test_columns_are_found_by_name_in_any_order_with_an_index_column(locate):
    counts, rows, _ = locate(
        {"SEA": "SEATTLE, WA"},
        "7,US-WA,US,,SEA,,KSEA,large_airport,Sea-Tac,,12,Seattle",
        header=",iso_region,iso_country,gps_code,iata_code,local_code,Ident,type,name,continent,elevation_ft,municipality",
    )
    row = rows["SEA"]
    assert counts["written"] == 1
    assert (row["ident"], row["iata_code"], row["elevationft"], row["gps_code"]) == ("KSEA", "SEA", 12, None)


def test_closed_and_nameless_airports_are_rejected_with_their_reason(locate):
    counts, rows, rejected = locate(
        {"SEA": "SEATTLE, WA"}, line(), line(ident="OLD", type="closed"), line(ident="")
    )
    assert counts == {"read": 3, "written": 1, "rejected": {"closed": 1, "no_ident": 1}}
    assert rows["SEA"]["ident"] == "KSEA"
    rejects = {row["reason"]: row["ident"] for row in pq.read_table(rejected).to_pylist()}
    assert rejects == {"closed": "OLD", "no_ident": None}


@pytest.mark.parametrize("backwards", [False, True])
def test_of_airports_that_share_an_ident_the_largest_open_one_is_kept(locate, backwards):
    lines = [
        line(type="closed", name="closed"),
        line(type="small_airport", name="small"),
        line(type="large_airport", name="large without code", iata_code=""),
        line(type="large_airport", name="large"),
    ]
    counts, rows, _ = locate({"SEA": "SEATTLE, WA"}, *(reversed(lines) if backwards else lines))
    assert counts == {"read": 4, "written": 1, "rejected": {"closed": 1, "duplicate_ident": 2}}
    assert rows["SEA"]["name"] == "large"


def test_long_text_is_cut_to_the_columns_bytes_between_characters(locate):
    _, rows, _ = locate({"SEA": "SEATTLE, WA"}, line(name="é" * 200, elevation_ft="high"))
    assert rows["SEA"]["name"] == "é" * 128
    assert rows["SEA"]["elevationft"] is None


def test_the_files_types_match_the_warehouses(run_job, published, tmp_path):
    _, kept, _ = run_job(airports, published(line()), i94.write_labels(tmp_path))
    types = {field.name: str(field.type) for field in pq.read_table(kept).schema}
    assert types.pop("elevationft") == "int32"
    assert set(types.values()) == {"string"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty.*Upload"),
        (HEADER + "\n", "is empty.*no row"),
        (HEADER.replace("iso_region", "region") + "\n" + line() + "\n", "lacks the column iso_region"),
        (HEADER + "\n" + line() + "\nKPDX,large_airp", "was cut off.*KPDX,large_airp.*Upload the whole file"),
    ],
    ids=["empty", "header only", "column missing", "cut off"],
)
def test_the_error_names_a_bad_file_and_what_is_wrong_with_it(run_job, tmp_path, content, message):
    path = tmp_path / "airport-codes_csv.csv"
    path.write_text(content)
    with pytest.raises(BadInput, match=f"(?s)airport-codes_csv.csv .*{message}"):
        run_job(airports, path, i94.write_labels(tmp_path))


def test_the_error_names_a_missing_file(run_job, published, tmp_path):
    with pytest.raises(BadInput, match=r"nowhere\.csv does not exist"):
        run_job(airports, tmp_path / "nowhere.csv", i94.write_labels(tmp_path))
    with pytest.raises(BadInput, match=r"nowhere\.SAS does not exist"):
        run_job(airports, published(line()), tmp_path / "nowhere.SAS")


# -- which airport -----------------------------------------------------------------------------


def test_a_ports_airport_is_found_by_its_municipality_or_its_name_in_the_ports_state(locate):
    _, rows, _ = locate(
        {
            "SEA": "SEATTLE, WA",
            "TAC": "TACOMA, WA",
            "WIL": "WILMINGTON, NC",
            "WDE": "WILMINGTON, DE",
            "TST": "NOWHERE, WA",
        },
        *place("WA", "SEA:Seattle:Sea-Tac", "TIW:Gig Harbor:Tacoma Narrows"),
        *place("NC", "ILM:Wilmington:Wilmington"),
        *place("DE", "ILG:Wilmington:New Castle"),
        *place("DE", "XXX:Wilmington:Wilmington International", country="BR"),
    )
    assert chosen(rows) == {
        "SEA": ("SEA", "municipality"),
        "TAC": ("TIW", "name"),
        "WIL": ("ILM", "municipality"),
        "WDE": ("ILG", "municipality"),
        "TST": (None, None),
    }


def test_a_label_of_several_names_is_found_by_each_of_them(locate):
    _, rows, _ = locate(
        {
            "NWK": "NEWARK/TETERBORO, NJ",
            "OGG": "KAHULUI - MAUI, HI",
            "KOA": "KEAHOLE-KONA, HI",
            "SGR": "HULL FIELD, SUGAR LAND ARPT, TX",
            "SAR": "BRADENTON - SARASOTA, FL",
            "MNR": "MONROE COUNTY MUNICIPAL, MI",
        },
        *place("NJ", "EWR:Newark:Newark Liberty"),
        *place("HI", "OGG:Kahului:Kahului", "KOA:Kailua-Kona:Kona International at Keahole"),
        *place("TX", "SGR:Houston:Sugar Land Regional", "HUF:Waco:Hull Crossing"),
        *place("FL", "SRQ:Sarasota/Bradenton:Sarasota Bradenton"),
        *place("MI", "TTF:Monroe:Custer"),
    )
    assert {port: iata for port, (iata, _) in chosen(rows).items()} == {
        "NWK": "EWR",
        "OGG": "OGG",
        "KOA": "KOA",
        "SGR": "SGR",
        "SAR": "SRQ",
        "MNR": "TTF",
    }


def test_a_name_is_found_as_whole_words_without_accents(locate):
    _, rows, _ = locate(
        {"MON": "MONTREAL, CANADA", "ELY": "ELY, MN"},
        *place("QC", "YUL:Dorval:Montréal-Pierre Elliott Trudeau", country="CA"),
        *place("MN", "AAA:Lively:Kelyville"),
    )
    assert chosen(rows) == {"MON": ("YUL", "name"), "ELY": (None, None)}


def test_a_port_abroad_is_looked_for_in_its_country(locate):
    ports = {
        "TOR": ("TORONTO, CANADA ", "Toronto", "CA"),
        "SHA": ("SHANNON, IRELAND ", "Shannon", "IE"),
        "NAS": ("NASSAU, BAHAMAS ", "Nassau", "BS"),
        "HAM": ("HAMILTON, BERMUDA ", "Hamilton", "BM"),
        "NOC": ("NORTH CAICOS, TURK & CAIMAN", "North Caicos", "TC"),
        "MEX": ("JUAREZ INTL, MEXICO CITY, MX", "Mexico City", "MX"),
    }
    lines = [
        found
        for port, (_, city, country) in ports.items()
        for found in (
            *place("X", f"A{port}:{city}:{city} International", country="AU"),
            *place("X", f"H{port}:{city}:Home", country=country),
        )
    ]
    _, rows, _ = locate({port: label for port, (label, _, _) in ports.items()}, *lines)
    assert chosen(rows) == {port: (f"H{port}", "municipality") for port in ports}


def test_a_port_of_a_territory_has_an_airport_of_its_name_else_the_territorys_largest(locate):
    _, rows, _ = locate(
        {"STT": "ST THOMAS, VI ", "CHR": "CHRISTIANSTED, VI ", "ROT": "ROTA, SPN", "FAJ": "FAJARDO, PR"},
        *place("U-A", "STX:Christiansted:Rohlsen:medium_airport", "CCC:Amalie:King", country="VI"),
        *place("U-A", "ROP:Songsong:Rota International", country="MP"),
        *place("U-A", "FAJ:Fajardo:Diego Jimenez"),  # a list may give a territory's airport to the US
        *place("U-A", "AAA:San Juan:Isla Grande"),
    )
    assert chosen(rows) == {
        "STT": ("CCC", "territory"),
        "CHR": ("STX", "municipality"),
        "ROT": ("ROP", "name"),
        "FAJ": ("FAJ", "municipality"),
    }


# The airports of a city, by a state for each case, and the one that is its port's.
OF_A_CITY = {
    "MA": (
        ["AAA:Boston:Boston:small_airport", "BBB:Boston:Boston:medium_airport"],
        "BBB",
        "medium before small",
    ),
    "ME": (
        ["AAA:Boston:Boston International:medium_airport", "BBB:Boston:Boston"],
        "BBB",
        "large before medium",
    ),
    "NY": (
        ["AAA:Boston:Boston Field", "BBB:Chelsea:Boston Intercontinental"],
        "BBB",
        "international before others",
    ),
    "NJ": (["AAA:Boston:Boston Field", "BBB:Chelsea:Boston Intcntl/Bush"], "BBB", "abbreviated"),
    "OH": (
        ["AAA:East Boston:Boston International", "BBB:Boston:Logan International"],
        "BBB",
        "exact municipality before part of it",
    ),
    "PA": (
        ["AAA:Boston:King International", "BBB:Boston:Logan Boston International"],
        "BBB",
        "name with the city before name without",
    ),
    "RI": (
        ["AAA:Boston:Boston Logan International", "BBB:Boston:Boston International"],
        "BBB",
        "name of the city alone before more names",
    ),
    "TX": (["AAA:Boston:Boston", "BBB:Boston:Boston"], "AAA", "first ident"),
    "UT": (
        ["BBB:Boston:Boston", ":Boston:Boston International"],
        "BBB",
        "no airline without an IATA code",
    ),
    "VT": (["AAA:Boston:Boston:heliport", "BBB:Boston:Boston:seaplane_base"], None, "no airport at all"),
}


@pytest.mark.parametrize("backwards", [False, True])
def test_of_a_citys_airports_the_one_of_its_international_flights_is_chosen(locate, backwards):
    lines = []
    for state, (entries, _, _) in OF_A_CITY.items():
        # An ident stands for one airport of the whole list, so each case has its own, in the same order.
        found = [entry.replace("AAA:", f"{state}A:").replace("BBB:", f"{state}B:") for entry in entries]
        lines += place(state, *found)
    ports = {f"Q{state}": f"BOSTON, {state}" for state in OF_A_CITY}
    _, rows, _ = locate(ports, *(reversed(lines) if backwards else lines))
    best = {f"Q{state}": best and f"{state}{best[0]}" for state, (_, best, _) in OF_A_CITY.items()}
    assert {port: row["iata_code"] for port, row in rows.items()} == best


def test_a_ports_code_is_not_taken_for_an_iata_code(locate):
    _, rows, _ = locate(
        {"BBB": "BOSTON, MA"}, *place("MA", "BBB:Boston:Boston", "AAA:Boston:Boston International")
    )
    assert rows["BBB"]["iata_code"] == "AAA"


def test_a_curated_port_has_its_airport_wherever_that_is(locate):
    _, rows, _ = locate(
        {"CIN": "CINCINNATI, OH ", "MAA": "Abu Dhabi", "CHI": "CHICAGO, IL"},
        *place("OH", "LUK:Cincinnati:Cincinnati International"),
        *place("KY", "CVG:Covington:Northern Kentucky"),
        *place("AZ", "AUH:Abu Dhabi:Zayed International", country="AE"),
        *place("IL", "MDW:Chicago:Midway"),  # no O'Hare in the list
    )
    assert chosen(rows) == {
        "CIN": ("CVG", "curated"),
        "MAA": ("AUH", "curated"),
        "CHI": ("MDW", "municipality"),
    }


def test_a_port_whose_label_does_not_lead_to_its_airport_as_published_is_curated(locate):
    _, rows, _ = locate(
        {
            "FPR": "ST LUCIE COUNTY, FL",
            "ICT": "MID-CONTINENT - WITCHITA, KS",
            "MCA": "MCALLEN, TX ",
            "STT": "ST THOMAS, VI ",
        },
        *place("FL", "FPR:Fort Pierce:Treasure Coast International"),
        *place("KS", "ICT:Wichita:Wichita Dwight D Eisenhower Ntl"),
        *place("TX", "MFE:Mc Allen:Mc Allen International"),
        *place("U-A", "STT:Charlotte Amalie:Cyril E King"),  # the list gives it to the US, not to VI
    )
    assert chosen(rows) == {
        "FPR": ("FPR", "curated"),
        "ICT": ("ICT", "curated"),
        "MCA": ("MFE", "curated"),
        "STT": ("STT", "curated"),
    }


def test_an_elevation_that_is_no_number_is_unknown_and_counted_unless_it_says_so(locate):
    elevations = {"WA": "NaN", "OR": "Infinity", "CA": "1e400", "NV": "3e9", "UT": "12d"}
    lines = [
        line(ident=state, iata_code=state, iso_region=f"US-{state}", elevation_ft=elevation)
        for state, elevation in elevations.items()
    ]
    counts, rows, _ = locate({state: f"SEATTLE, {state}" for state in elevations}, *lines)
    assert {port: (row["iata_code"], row["elevationft"]) for port, row in rows.items()} == {
        state: (state, None) for state in elevations
    }
    assert (counts["notes"], counts["judged_over"]) == ({"bad_elevation": 4}, {"bad_elevation": 4})


def test_a_city_between_blanks_that_are_no_spaces_is_found(locate):
    _, rows, _ = locate({"SEA": "\u00a0SEATTLE,\u00a0WA "}, line(municipality="\u00a0Seattle\u2003"))
    assert rows["SEA"]["matchbasis"] == "municipality"
    assert rows["SEA"]["municipality"] == "Seattle"
