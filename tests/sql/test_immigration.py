"""The immigration pipeline's tables and published questions, word for word as the seed system has them."""

from __future__ import annotations

import pytest

from airflow_lib.warehouse.sql import ROOT
from tests.sql.declarations import declared_pipeline
from tests.sql.parsing import columns_of

IMMIGRATION = declared_pipeline("immigration")

STAYS = (
    "SELECT D.Tourist_id,F.arrivedate_id,F.departdate,F.arrivalFlag,F.departureFlag,F.updateFlag,F.matchFlag "
    "FROM ((factArrivetheUsa F JOIN dimTourist D ON F.Tourist_id = D.Tourist_id) "
    "JOIN dimArriveDate A ON A.arrivedate_id = F.arrivedate_id) "
    "WHERE CAST(F.arrivedate_id AS date) < F.departdate AND A.year =2016 AND A.month = 4 LIMIT 10;"
)
COLUMNS = {
    "factArrivetheUsa": "arrive_id Tourist_id arrivedate_id AddressTo portcode portOfEntryCity departdate "
    "arrivalFlag departureFlag updateFlag matchFlag admittedDate",
    "dimTourist": "Tourist_id gender birthyear citizenship resident age occupation Visa visatype visapost "
    "flight_no airline issuanceNum admissionNum citizenshipbasis residentbasis",
    "dimStateDestination": "AddressTo StateCode State MedianAge MalePopulation FemalePopulation "
    "TotalPopulation NumberOfVeterans ForeignBorn AverageHouseholdSize",
    "dimAirport": "airport_id portcode airport_code portOfEntryCity gps_code iata_code local_code name type "
    "iso_country municipality statecode ElevationFt matchbasis",
    "dimArriveDate": "arrivedate_id year month day weekday week AverageTemperature "
    "AverageTemperatureUncertainty temperaturebasis",
    "staging_immigration": "tourist_id arrivedate departdate addressto portcode portofentrycity "
    "citizenship citizenshipbasis resident residentbasis mode visa visatype age birthyear gender occupation "
    "visapost arrivalflag departureflag updateflag matchflag admitteddate airline flight_no issuancenum admissionnum",
    "staging_demography": "statecode state medianage malepopulation femalepopulation totalpopulation "
    "numberofveterans foreignborn averagehouseholdsize",
    "staging_landtemp": "month state averagetemperature averagetemperatureuncertainty",
    "staging_airport": "portcode portofentrycity statecode matchbasis ident type name elevationft iso_country "
    "municipality gps_code iata_code local_code",
}


@pytest.mark.parametrize(
    ("answer", "query"),
    [
        ("stays_april_2016", STAYS),
        ("updated_stays_april_2016", STAYS.replace(" LIMIT", " AND F.updateFlag != 'Nil' LIMIT")),
    ],
)
def test_the_published_queries_are_asked_word_for_word(answer: str, query: str) -> None:
    assert (ROOT / f"immigration/answers/{answer}.sql").read_text() == query + "\n"


@pytest.mark.parametrize("table", COLUMNS)
def test_a_table_has_the_seeds_columns_in_order(table: str) -> None:
    assert columns_of(IMMIGRATION, table) == COLUMNS[table].split()


def test_every_table_is_among_them() -> None:
    assert {table.name for table in IMMIGRATION.tables} == COLUMNS.keys()
