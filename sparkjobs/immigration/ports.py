"""Where a port of entry is, and by which words its airport is found in the list of airports.

A port's code is CBP's and no IATA code: HOU is Houston, not Hobby Airport, and NEW is Newark.
"""

from __future__ import annotations

import re

from sparkjobs.immigration.labels import NIL

# Port: IATA code of its airport, where the label does not lead there. What the published port is: CBP, "Locate a Port
# of Entry" and "Preclearance Locations" (https://www.cbp.gov/about/contact/ports). Which of a city's airports takes the
# port's international flights was compared with the airlines and flight numbers of the arrivals of April 2016.
CURATED = {
    "AGA": "GUM",  # Agana is Hagåtña; the airport lies in Tamuning
    "CHI": "ORD",  # UA, AA, BA, LH; Midway bears "International" as well
    "CIN": "CVG",  # in Kentucky
    "DAL": "DFW",  # AA, BA, QF; not Love Field
    "DET": "DTW",  # DL, AF, LH; the Detroit Metropolitan Airport lies in Romulus
    "FPR": "FPR",  # St. Lucie County's airport lies in Fort Pierce
    "HAR": "BDL",  # the airport of Hartford lies in Windsor Locks; Brainard, in the city, has no flights from abroad
    "HOU": "IAH",  # UA, BA, LH; not Hobby
    "ICT": "ICT",  # the label misspells the city
    "MAA": "AUH",  # preclearance at Abu Dhabi, which the label gives no country: all its arrivals fly EY
    "MCA": "MFE",  # the list writes Mc Allen
    "NCA": "AUA",  # preclearance at Aruba: its arrivals fly Aruba Airlines, PY and WN, which North Caicos never saw
    "NEW": "EWR",  # the port is Newark with Teterboro
    "NYC": "JFK",  # DL, AA, BA, AF; La Guardia has a port of its own, LAG
    "PIT": "PIT",  # the label misspells the city
    "SAI": "SPN",  # the island, which has no city of that name
    "SPE": "PIE",  # the airport lies between St. Petersburg and Clearwater
    "SPM": "MSP",  # St. Paul shares its airport with Minneapolis
    "STT": "STT",  # the island; the list gives its airport to no territory (US-U-A)
    "WAS": "IAD",  # UA, BA, LH; Dulles lies in Virginia
}

# ISO 3166 gives the territories country codes of their own, which are their postal state codes as well.
TERRITORIES = ("AS", "GU", "MP", "PR", "UM", "VI")
# What the labels write in place of a US state: the area as `areas` gives it.
_ELSEWHERE = {
    "SPN": "US-MP",
    "ARGENTINA": "AR",
    "BAHAMAS": "BS",
    "BERMUDA": "BM",
    "BRAZIL": "BR",
    "CANADA": "CA",
    "CAYMAN ISLAND": "KY",
    "COLOMBIA": "CO",
    "ECUADOR": "EC",
    "EL SALVADOR": "SV",
    "ENGLAND": "GB",
    "ETHIOPIA": "ET",
    "GABON": "GA",
    "INDONESIA": "ID",
    "IRELAND": "IE",
    "ITALY": "IT",
    "JAPAN": "JP",
    "KENYA": "KE",
    "MEXICO": "MX",
    "MX": "MX",
    "NETH ANTILLES": "AW",
    "NETHERLANDS": "NL",
    "NEW GUINEA": "PG",
    "PANAMA": "PA",
    "PRC": "CN",
    "ROMANIA": "RO",
    "SEOUL KOREA": "KR",
    "SOUTH AFRICA": "ZA",
    "THAILAND": "TH",
    "TURK & CAIMAN": "TC",
    "URUGUAY": "UY",
}
# The list of airports gives the region `US-U-A`, unassigned, to some of the territories' airports.
UNASSIGNED = "US-U-A"

ACCENTED, PLAIN = "àáâãäåçèéêëìíîïñòóôõöøùúûüý", "aaaaaaceeeeiiiinoooooouuuuy"
# What the labels call an airport, and its list another way or not at all.
_FACILITY = (
    *("aaf", "afb", "airport", "arpt", "cnty", "county", "greater", "international", "intl", "memorial"),
    *("muni", "municipal", "regional", "spb"),
)
_SHORTEST = 3  # two letters are a province (`Halifax, NS, Canada`)


def areas(state: str) -> tuple[str, ...]:
    """Where to look for the airport of a port with that state: `US-TX`, or a country's ISO 3166 code.

    `state` is what `split_port` gives. Empty where it says nothing.
    """
    if state == NIL:
        return ()
    area = _ELSEWHERE.get(state, f"US-{state}")
    return (area, UNASSIGNED) if area.removeprefix("US-") in TERRITORIES else (area,)


def places(city: str, label: str) -> tuple[str, ...]:
    """The names by which a port's airport may be found: each its words, in plain lower-case letters.

    The label is cut at commas, `/` and ` - ` (`CANNON INTL - RENO/TAHOE, NV`), without the state at its end; words
    such as `county` and `municipal` are left out. `city` is what `split_port` gives.
    """
    parts = label.split(",")[:-1] or [city]
    names = [plain(name) for part in parts for name in re.split(r"/| - ", part)]
    kept = [" ".join(word for word in name.split() if word not in _FACILITY) for name in names]
    return tuple(dict.fromkeys(name for name in kept if len(name) >= _SHORTEST))


def plain(text: str) -> str:
    """`text` in lower case without accents, its words separated by one blank each."""
    folded = text.lower().translate(str.maketrans(ACCENTED, PLAIN))
    return " ".join(re.sub(r"[^a-z0-9]+", " ", folded).split())
