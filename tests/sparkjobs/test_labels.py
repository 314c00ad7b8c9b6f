from __future__ import annotations

import pytest

from sparkjobs.errors import BadInput
from sparkjobs.immigration.labels import parse_labels, read_labels, split_port
from tests.sparkjobs.i94 import LABELS

STATES = {
    **dict.fromkeys(("AR", "CA", "MN", "NJ", "SC", "TX", "VT"), "a state"),
    "DC": "DIST. OF COLUMBIA",
    "WA": "WASHINGTON",
    "99": "All Other Codes",
}


def test_the_label_file_is_parsed_as_sas_source():
    labels = parse_labels(LABELS)
    assert labels["i94cntyl"]["582"] == "MEXICO Air Sea, and Not Reported (I-94, no land arrivals)"
    assert labels["i94cntyl"]["209"] == "JAPAN"
    assert labels["i94cntyl"]["0"] == "INVALID: STATELESS"
    assert labels["i94prtl"]["INT"] == "INT'L FALLS, MN"
    assert labels["i94prtl"]["AG"] == "No PORT Code (AG)"
    assert labels["i94model"] == {"1": "Air", "2": "Sea", "9": "Not reported"}
    assert labels["i94visa"] == {"1": "Business", "2": "Pleasure", "3": "Student"}
    assert "YR" not in labels


@pytest.mark.parametrize(
    "line", ["'INT'=\t'INT'L FALLS, MN  '", "'INT' = 'INT''L FALLS, MN' ;", "'INT'=\"INT'L FALLS, MN\""]
)
def test_a_quote_within_a_label_is_part_of_it_however_it_is_written(line):
    assert parse_labels(f"value $i94prtl\n{line}\n;")["i94prtl"] == {"INT": "INT'L FALLS, MN"}


@pytest.mark.parametrize(
    ("label", "city", "state"),
    [
        ("SEATTLE, WA", "seattle", "WA"),
        ("NEWARK/TETERBORO, NJ", "newark/teterboro", "NJ"),
        ("LITTLE ROCK, AR (BPS)", "little rock", "AR"),
        ("PASO DEL NORTE,TX", "paso del norte", "TX"),
        ("WASHINGTON DC", "washington", "DC"),
        ("NASSAU, BAHAMAS", "nassau", "BAHAMAS"),
        ("NORTH CAICOS, TURK & CAIMAN", "north caicos", "TURK & CAIMAN"),
        ("Halifax, NS, Canada", "halifax", "CANADA"),
        ("SAN SALVADOR, EL SALVADOR", "san salvador", "EL SALVADOR"),
        ("GEN M. ESCOBEDO, Monterrey, MX", "gen m. escobedo", "MX"),
        ("HULL FIELD, SUGAR LAND ARPT, TX", "hull field", "TX"),
        ("PACIFIC, HWY. STATION, CA ", "pacific", "CA"),
        ("WARROAD INTL, SPB, MN", "warroad intl", "MN"),
        ("DERBY LINE, VT (RT. 5)", "derby line", "VT"),
        ("SWANTON, VT (BP - SECTOR HQ)", "swanton", "VT"),
        ("COLUMBIA, SC #ARPT", "columbia", "SC"),
        ("BELLINGHAM, WASHINGTON #INTL", "bellingham", "WA"),
        ("BEICA #ARPT, ETHIOPIA", "beica", "ETHIOPIA"),
        ("SAIPAN, SPN ", "saipan", "SPN"),
        ("Abu Dhabi", "abu dhabi", "Nil"),
        ("UNIDENTIFED AIR / SEAPORT", "unidentifed air / seaport", "Nil"),
        ("ROUTE 99", "route 99", "Nil"),
        ("NOWHERE,", "nowhere", "Nil"),
        ("DC", "dc", "Nil"),
    ],
)
def test_a_ports_label_gives_its_city_and_state(label, city, state):
    assert split_port(label, STATES) == (city, state)


@pytest.mark.parametrize(
    "label",
    ["No PORT Code (AG)", "Collapsed (FOK) 06/15", "Collapsed into INT, MN", "Collapsed d(SEA) 06/15"],
)
def test_a_label_that_says_there_is_no_port_gives_no_city(label):
    assert split_port(label, STATES) is None


def test_several_pairs_on_a_line_are_all_read():
    text = "value i94cntyl 581 = 'A' 582 = 'MEXICO' 583='X''Y' 584 =  'IT'S; (I-94, no land)' ;\n;"
    assert parse_labels(text)["i94cntyl"] == {
        "581": "A",
        "582": "MEXICO",
        "583": "X'Y",
        "584": "IT'S; (I-94, no land)",
    }


@pytest.mark.parametrize(
    ("encoding", "notes"),
    [("utf-8-sig", {}), ("utf-16", {}), ("cp1252", {"labels_read_as_windows_1252": 1})],
)
def test_the_label_file_may_be_of_any_common_encoding(spark, tmp_path, encoding, notes):
    path = tmp_path / "labels.SAS"
    path.write_bytes(LABELS.replace("JAPAN", "CURAÇAO").encode(encoding))
    told = {}
    labels = read_labels(spark, path.as_uri(), told)
    assert (labels["i94cntyl"]["209"], told) == ("CURAÇAO", notes)


@pytest.mark.parametrize("line", ["'A'='b' x" * 20_000, "a" * 60_000], ids=["pairs", "word"])
def test_a_line_that_is_too_long_to_be_published_is_refused_with_its_number(spark, tmp_path, line):
    path = tmp_path / "labels.SAS"
    path.write_text(f"{LABELS}\n{line}\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"labels\.SAS has \d+ characters in line \d+, where at most 1000"):
        read_labels(spark, path.as_uri())
