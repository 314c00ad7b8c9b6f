"""Invented runs of a pipeline, as a report is made of them: a green one, a red one, an idle one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_lib.report.facts import ReportFacts, TaskFacts, Verdict

BEGIN = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def task(
    task_id: str,
    began_s: float | None = None,
    ended_s: float | None = None,
    *upstream: str,
    state: str | None = "success",
    waited_s: float | None = 0.0,
    **more: Any,
) -> TaskFacts:
    """A task from and to seconds of the run; without them one that has no times."""
    return TaskFacts(
        task_id,
        state,
        frozenset(upstream),
        began=None if began_s is None else at(began_s),
        ended=None if ended_s is None else at(ended_s),
        waited_s=waited_s,
        **more,
    )


def facts(*tasks: TaskFacts, **changes: Any) -> ReportFacts:
    known: dict[str, Any] = {
        "pipeline": "weather",
        "deployment": "prod",
        "run_id": "scheduled__2026-11-28T05:00:00+00:00",
        "window": "2026-11-27 to 2026-11-28",
        "region": "eu-central-1",
        "verdict": Verdict.GREEN,
        "at": at(700),
        "tasks": tasks,
    }
    return ReportFacts(**{**known, **changes})


FAILING = {
    "name": "measured_in_range_factReading",
    "severity": "error",
    "passed": False,
    "failing_rows": 3,
    "samples": [
        {"reading_id": 4711, "station": "Zugspitze", "celsius": 412.0, "at": "2026-11-27 10:20:00"},
        {"reading_id": 4712, "station": "Zugspitze", "celsius": 413.5, "at": "2026-11-27 10:30:00"},
    ],
    "sql": "SELECT reading_id, station, celsius, at\nFROM factReading\nWHERE celsius NOT BETWEEN -60 AND 60",
}
WARNING = {**FAILING, "name": "every_station_reports", "severity": "warn", "failing_rows": 1, "samples": []}
PASSED = [
    {"name": f"{kind}_{table}", "severity": "error", "passed": True, "failing_rows": 0}
    for kind in ("not_null", "unique")
    for table in ("factReading", "dimStation", "dimDay")
]
ROWS = [
    ["Zugspitze", "BY", 144, -11.2],
    ["Feldberg", "BW", 143, -2.4],
    ["Brocken", "ST", 139, -3.1],
    ["Hamburg", "HH", 121, 4.9],
    ["Potsdam", "BB", 96, 2.2],
]

_JOB = {"read": 184_302, "written": 181_977, "outputs": {"reading": 181_977}, "reused": False}
_READINGS = {
    **_JOB,
    "rejected": {"no_station": 1904, "unreadable_celsius": 388, "doubled": 33},
    "rejects": "s3://weather-processed/weather/readings/5f2a/91c7-rejected/",
    "notes": {"corrected_clock": 212},
}
_STATIONS = {"read": 1043, "written": 1043, "outputs": {"station": 1043}, "rejected": {}, "reused": True}
_LOADED = {
    "tables": {
        "factReading": {"before": 0, "rows": 181_977, "total": 61_204_118},
        "dimStation": {"total": 1043},
        "dimDay": {"before": 0, "rows": 1, "total": 336},
    },
    "checks": PASSED,
}
_EMR = "mayfly-prod-weather-emr-g41"
_WAREHOUSE = "mayfly-prod-weather-warehouse-g39"
_KEPT = ["Redshift snapshot mayfly-prod-weather-warehouse-final-g39, available"]
_PLAN = {
    "lines": [
        "prod-weather: window 2026-11-27 to 2026-11-28, a batch as it is now: 145 objects",
        f"emr: creates {_EMR}",
        f"warehouse: creates {_WAREHOUSE} from snapshot mayfly-prod-weather-warehouse-final-g38",
    ]
}
_ANSWER = {
    "columns": ["station", "state", "readings", "mean_celsius"],
    "rows": ROWS,
    "row_count": 1043,
    "published": {
        "parquet": "s3://weather-published/weather/by_station/parquet/by_station_000.parquet",
        "csv": "s3://weather-published/weather/by_station/csv/by_station_000.csv",
    },
}


def _opening() -> list[TaskFacts]:
    leased = {slot: {"outcome": "create", "generation": 41} for slot in ("emr", "warehouse")}
    return [
        task("plan", 0, 3, result=_PLAN),
        task("provision.preflight", 4, 9, "plan", result={"sessions": 2}),
        task("provision.lease", 10, 11, "provision.preflight", result=leased),
        task("provision.emr", 12, 254, "provision.lease", waited_s=236.0, result={"cluster": _EMR}),
        task(
            "provision.warehouse", 12, 198, "provision.lease", waited_s=180.0, result={"cluster": _WAREHOUSE}
        ),
        task("load.create_tables", 199, 203, "provision.warehouse"),
        task("transform.stations", 255, 258, "provision.emr", result=_STATIONS),
        task("transform.readings", 255, 431, "provision.emr", waited_s=168.0, result=_READINGS),
        task("load.staging_station", 259, 264, "load.create_tables", "transform.stations"),
        task("load.staging_reading", 432, 447, "load.create_tables", "transform.readings"),
    ]


def _closing(**inventory: Any) -> list[TaskFacts]:
    torn_down = {"outcome": "tear_down"}
    return [
        task(
            "transform.release_emr",
            432,
            519,
            "transform.stations",
            "transform.readings",
            waited_s=82.0,
            result=torn_down,
        ),
        task(
            "release.release_warehouse",
            484,
            640,
            "answers.by_station",
            waited_s=150.0,
            result=torn_down,
        ),
        task(
            "release.inventory", 641, 645, "release.release_warehouse", "transform.release_emr", **inventory
        ),
        task("verdict", 646, 647, "release.inventory"),
    ]


def green() -> ReportFacts:
    """A run that loaded a day."""
    return facts(
        *_opening(),
        task("load.load_window", 448, 466, "load.staging_station", "load.staging_reading", result=_LOADED),
        task(
            "verify.factReading",
            467,
            471,
            "load.load_window",
            result={"checks": [PASSED[0], PASSED[3], WARNING]},
        ),
        task("verify.dimStation", 467, 470, "load.load_window", result={"checks": PASSED[1:3]}),
        task("answers.by_station", 472, 483, "verify.factReading", "verify.dimStation", result=_ANSWER),
        *_closing(result={"left": [], "kept": _KEPT}),
    )


def red() -> ReportFacts:
    """A run whose load was refused, and that left something behind."""
    cause = (
        "The load of 2026-11-27 to 2026-11-28 was rolled back: measured_in_range_factReading: 3 rows.\n"
        "Correct the input, the job or the SQL, then clear the run."
    )
    refused = {"tables": {}, "checks": [FAILING, *PASSED]}
    left = {"left": ["security group mayfly-prod-weather-emr-master-g41 sg-0a1b2c"], "kept": _KEPT}
    loaded = task(
        "load.load_window",
        448,
        466,
        "load.staging_station",
        "load.staging_reading",
        state="failed",
        cause=cause,
        result=refused,
        tries=2,
    )
    after = [
        task("verify.factReading", None, None, "load.load_window", state="upstream_failed"),
        task("answers.by_station", None, None, "verify.factReading", state="upstream_failed"),
    ]
    closing = _closing(state="failed", cause="Left behind in prod-weather: a security group", result=left)
    closing[-1] = replace(closing[-1], state="failed")
    return facts(
        *_opening(),
        loaded,
        *after,
        *closing,
        verdict=Verdict.RED,
        message="Run … of weather failed first in load.load_window: the load was rolled back",
    )


def idle() -> ReportFacts:
    """A run that found its window loaded."""
    skipped = [
        replace(one, state="skipped", began=None, ended=None, result=None) for one in green().tasks[2:-1]
    ]
    return facts(
        task("plan", 0, 3),
        task("provision.preflight", 4, 9, "plan", result={"nothing_to_do": "loaded already"}),
        *skipped,
        task("verdict", 11, 12, "release.inventory"),
        verdict=Verdict.IDLE,
        message="The warehouse holds this window of the same files already.",
    )


def hostile(text: str, *, many: int) -> ReportFacts:
    """A run in which `text` is whatever comes from outside, `many` times over."""
    numbered = [f"{text}{number}" for number in range(many)]
    check = {
        "name": text,
        "severity": "error",
        "passed": False,
        "failing_rows": 9,
        "samples": [dict.fromkeys(numbered, text)] * 5,
        "sql": text * 20,
    }
    job = {
        "read": 9,
        "written": 9,
        "rejected": dict.fromkeys(numbered, 3),
        "notes": dict.fromkeys(numbered, 3),
    }
    answer = {
        "columns": numbered,
        "rows": [[text] * many] * many,
        "row_count": 10**9,
        "published": {text: f"s3://bucket/{text}"},
    }
    loaded = {"tables": {name: {"total": 3} for name in numbered}, "kept": numbered}
    checks = [{**check, "name": name} for name in numbered]
    groups = {"transform": {**job, "rejects": f"s3://bucket/{text}/"}, "answers": answer}
    return facts(
        task("plan", 0, 1, result={"lines": numbered}),
        *(
            task(f"{group}.{name}", 1 + number, 3 + number, "plan", result=result)
            for group, result in groups.items()
            for number, name in enumerate(numbered)
        ),
        task(
            "load.load_window",
            3,
            4,
            "plan",
            state="failed",
            cause=text * 50,
            result={**loaded, "checks": checks},
        ),
        task("release.inventory", 5, 6, "load.load_window", result={"left": numbered, "kept": numbered}),
        pipeline=text,
        deployment=text,
        run_id=text,
        window=text,
        verdict=Verdict.RED,
        message=text,
    )
