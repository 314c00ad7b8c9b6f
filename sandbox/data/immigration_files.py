"""Generates the small source files of the immigration pipeline: labels, cities, temperatures, airports."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random

from sandbox.data import immigration_codes as codes

FIRST_YEAR, LAST_YEAR, LAST_MONTH = 1890, 2013, 9
SPREADSHEET_FROM = 1900  # dates from this year on are M/D/YYYY, as a spreadsheet program writes them
STATES_WITHOUT_CITIES = ("GU", "WV")  # the published file lacks some states
CITY_COLUMNS = [
    "City",
    "State",
    "Median Age",
    "Male Population",
    "Female Population",
    "Total Population",
    "Number of Veterans",
    "Foreign-born",
    "Average Household Size",
    "State Code",
    "Race",
    "Count",
]
AIRPORT_COLUMNS = [
    "ident",
    "type",
    "name",
    "elevation_ft",
    "continent",
    "iso_country",
    "iso_region",
    "municipality",
    "gps_code",
    "iata_code",
    "local_code",
    "coordinates",
]
ABROAD = {
    "CANADA": ("CA", "CA-ON"),
    "BAHAMAS": ("BS", "BS-NP"),
    "IRELAND": ("IE", "IE-D"),
    "BERMUDA": ("BM", "BM-U-A"),
}
OTHER_COUNTRIES = (("Ontario", "Canada"), ("Acre", "Brazil"), ("Tasmania", "Australia"))


def write_labels(path: Path) -> None:
    """Write a SAS program like the published one: with comments, tabs, padded labels, and quotes within labels."""
    countries = [f"   {code:3d} =  {_quoted(label)}" for code, label, _ in codes.COUNTRIES if label]
    ports = [f"   '{code}'\t=\t{_quoted(label)}" for code, label, *_ in codes.PORTS if label]
    states = [f"\t'{code}'={_quoted(label)}" for code, label, _, _ in codes.STATES]
    lines = [
        "libname library 'Your file location' ;",
        "proc format library=library ;",
        "",
        "/* I94YR - 4 digit year */",
        "",
        "/* I94CIT & I94RES - This format shows all the valid and invalid codes for processing */",
        "  value i94cntyl",
        *countries[:-1],
        f"{countries[-1]} ;",
        "",
        "/* I94PORT - This format shows all the valid and invalid codes for processing */",
        "  value $i94prtl",
        *ports,
        ";",
        "",
        "/* ARRDATE is the Arrival Date in the USA. It is a SAS date numeric field that a ",
        "   permament format has not been applied.  Please apply whichever date format ",
        "   works for you. */",
        "",
        "/* I94MODE - There are missing values as well as not reported (9) */",
        "value i94model",
        "\t1 = 'Air'",
        "\t2 = 'Sea'",
        "\t3 = 'Land'",
        "\t9 = 'Not reported' ;",
        "",
        "/* I94ADDR - There is lots of invalid codes in this variable and the list below ",
        "   shows what we have found to be valid, everything else goes into 'other' */",
        "value i94addrl",
        *states,
        "\t'99'='All Other Codes' ;",
        "",
        "/* I94VISA - Visa codes collapsed into three categories:",
        "   1 = Business",
        "   2 = Pleasure",
        "   3 = Student",
        "*/",
        "",
        "/* VISATYPE - Class of admission legally admitting the non-immigrant to temporarily stay in U.S. */",
        "run ;",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _quoted(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"


def write_cities(path: Path, seed: int) -> None:
    """Write `;`-separated rows in random order: one per city and race, with the whole city's figures, a few blank."""
    random = Random(seed * 1000 + 101)
    rows = [row for state in codes.STATES for row in _cities_of(state, random)]
    _write_csv(path, CITY_COLUMNS, random.sample(rows, len(rows)), delimiter=";")


def _cities_of(state: tuple[str, str, str, float], random: Random) -> Iterator[list[object]]:
    code, _, name, _ = state
    if code in STATES_WITHOUT_CITIES:
        return
    for city in random.sample(codes.FILE_CITIES, random.randrange(1, len(codes.FILE_CITIES))):
        men, women = random.randrange(2_000, 400_000), random.randrange(2_000, 400_000)
        figures: list[object] = [
            round(random.uniform(25, 48), 1),
            men,
            women,
            men + women,
            random.randrange(100, 20_000),
            random.randrange(100, 100_000),
            round(random.uniform(2, 4), 2),
        ]
        if random.random() < 0.03:
            figures[-1] = ""
        for race in random.sample(codes.RACES, random.randrange(3, 6)):
            yield [city, name, *figures, code, race, random.randrange(100, 2_000)]


def write_temperatures(path: Path, seed: int) -> None:
    """Write monthly means until September 2013, in two date formats, some without a value, and not only for the US."""
    random = Random(seed * 1000 + 102)
    states = [
        (name if name != "Georgia" else "Georgia (State)", "United States") for _, _, name, _ in codes.STATES
    ]
    rows = [row for state in (*states, *OTHER_COUNTRIES) for row in _months_of(state, random)]
    _write_csv(path, ["dt", "AverageTemperature", "AverageTemperatureUncertainty", "State", "Country"], rows)


def _months_of(state: tuple[str, str], random: Random) -> Iterator[list[object]]:
    base = random.uniform(-5, 22)
    for number in range((LAST_YEAR - FIRST_YEAR) * 12 + LAST_MONTH):
        year, month = FIRST_YEAR + number // 12, number % 12 + 1
        season = -10 * math.cos((month - 1) / 6 * math.pi)
        values = [f"{base + season + random.gauss(0, 1.5):.3f}", f"{random.uniform(0.1, 3):.3f}"]
        if year < SPREADSHEET_FROM and random.random() < 0.05:
            values = ["", ""]
        day = f"{year}-{month:02d}-01" if year < SPREADSHEET_FROM else f"{month}/1/{year}"
        yield [day, *values, *state]


def write_airports(path: Path, seed: int) -> None:
    """Write each port's airport, smaller and closed ones of its city, and one that is listed twice."""
    random = Random(seed * 1000 + 103)
    rows = [row for port in codes.PORTS if port[3] for row in _airports_of(port, random)]
    rows.append([rows[0][0], "small_airport", "Listed Twice", *rows[0][3:]])
    _write_csv(path, AIRPORT_COLUMNS, rows)


def _airports_of(port: tuple[str, str, float, str, int], random: Random) -> Iterator[list[object]]:
    """The port's main airport, then the others of its city."""
    _, label, _, iata, elevation = port
    city, country, region = _location(label)
    lesser = [
        ("medium_airport", "Regional Airport"),
        ("small_airport", '"Municipal" Airport'),
        ("heliport", "Hospital Heliport"),
        ("closed", "Old Field"),
    ]
    kinds = [("large_airport", "International Airport"), *(kind for kind in lesser if random.random() < 0.6)]
    for number, (kind, name) in enumerate(kinds):
        ident = f"{iata}{number}" if number else f"K{iata}"
        code = "" if number else iata
        feet = "" if random.random() < 0.03 else elevation + number
        coordinates = f"{random.uniform(-160, -70):.6f}, {random.uniform(18, 60):.6f}"
        location = ["NA", country, region, city]
        yield [ident, kind, f"{city} {name}", feet, *location, ident, code, code or ident, coordinates]


def _location(label: str) -> tuple[str, str, str]:
    """(municipality, iso_country, iso_region) of a port's label; US territories are countries in ISO 3166."""
    city, _, rest = label.partition(",")
    if city.split()[-1] == "DC":
        city, rest = city.replace("DC", ""), "DC"
    municipality, words = city.split("/")[0].strip().title(), rest.split()
    state = words[0] if words else ""
    if state in ("GU", "PR"):
        return municipality, state, f"{state}-U-A"
    country, region = ("US", f"US-{state}") if len(state) == 2 else ABROAD.get(state, ("ZZ", "ZZ-U-A"))
    return municipality, country, region


def _write_csv(path: Path, header: list[str], rows: list[list[object]], delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.writer(sink, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
