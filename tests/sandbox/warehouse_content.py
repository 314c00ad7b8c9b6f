"""A summary of the immigration warehouse's content in a few rows, to compare two states of it."""

from __future__ import annotations

import json
from typing import Any

from sandbox_process import SandboxProcess

# Covers what a run determines; identity columns are left out, since their values depend on the loads' order.
CONTENT = """
SELECT 'fact', COUNT(*), SUM(CAST(Tourist_id AS BIGINT)), MIN(arrivedate_id), MAX(AddressTo),
       COUNT(DISTINCT portcode), COUNT(departdate) FROM factArrivetheUsa
UNION ALL SELECT 'tourist', COUNT(*), SUM(CAST(Tourist_id AS BIGINT)), MIN(citizenship), MAX(Visa),
       COUNT(DISTINCT resident), COUNT(age) FROM dimTourist
UNION ALL SELECT 'state', COUNT(*), SUM(TotalPopulation), MIN(AddressTo), MAX(State),
       COUNT(StateCode), COUNT(MedianAge) FROM dimStateDestination
UNION ALL SELECT 'airport', COUNT(*), SUM(ElevationFt), MIN(portcode), MAX(name),
       COUNT(iata_code), COUNT(name) FROM dimAirport
UNION ALL SELECT 'date', COUNT(*), SUM(week), MIN(arrivedate_id), MAX(arrivedate_id),
       COUNT(AverageTemperature), COUNT(DISTINCT temperaturebasis) FROM dimArriveDate
ORDER BY 1
"""


def read_content(sandbox: SandboxProcess) -> list[list[Any]]:
    """The summary of the newest snapshot."""
    answer = sandbox.run("sql", "immigration", "-c", CONTENT, "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    rows: list[list[Any]] = json.loads(answer.stdout.splitlines()[-1])["rows"]
    return rows
