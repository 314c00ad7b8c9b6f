"""The lifetimes of a run's two clusters, as its own tasks saw them: made or found, used, and let go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_lib.naming import Slot
from airflow_lib.report.facts import ReportFacts, TaskFacts, ended_of

_TITLES = {Slot.EMR: "EMR cluster", Slot.WAREHOUSE: "Redshift cluster"}
_RELEASES = {Slot.EMR: "transform.release_emr", Slot.WAREHOUSE: "release.release_warehouse"}
_ENDINGS = {
    "tear_down": "torn down by this run",
    "shared": "left to the runs that still hold it",
    "kept": "kept alive for the runs to come",
    "not_held": "not held by this run",
}


@dataclass(frozen=True)
class Lifetime:
    """One cluster. It was asked for at `requested`, could be used from `ready` to `released`, and was gone at `gone`.

    A time is None where this run saw no such moment; `origin` and `ending` say it in words.
    """

    title: str
    name: str
    origin: str
    ending: str
    requested: datetime | None = None
    ready: datetime | None = None
    released: datetime | None = None
    gone: datetime | None = None


def list_lifetimes(facts: ReportFacts) -> list[Lifetime]:
    """Those of the clusters that the run made or used."""
    found = (_lifetime(facts, slot) for slot in Slot)
    return [one for one in found if one is not None]


def _lifetime(facts: ReportFacts, slot: Slot) -> Lifetime | None:
    ensured, release = facts.task(f"provision.{slot}"), facts.task(_RELEASES[slot])
    leased = _result(_result(facts.task("provision.lease")).get(slot.value))
    made = _result(ensured)
    if ensured is None or ensured.began is None or made.get("needed") is False:
        return None
    name = made.get("cluster")
    is_ready = isinstance(name, str)
    is_ours = leased.get("outcome") == "create"
    freed = release.began if release is not None and is_ready else None
    outcome = str(_result(release).get("outcome", ""))
    torn_down = outcome == "tear_down" and release is not None and release.state == "success"
    return Lifetime(
        _TITLES[slot],
        name if isinstance(name, str) else "",
        origin=_origin(is_ours=is_ours, is_ready=is_ready),
        ending=_ENDINGS.get(outcome, "how it ended is not known: read the log of the release"),
        requested=ensured.began if is_ours else None,
        ready=ended_of(ensured) if is_ready and ensured.ended is not None else None,
        released=freed,
        gone=ended_of(release) if torn_down and release is not None and release.ended is not None else None,
    )


def _origin(*, is_ours: bool, is_ready: bool) -> str:
    if not is_ready:
        return "never ready"
    return "created by this run" if is_ours else "created by another run"


def _result(value: TaskFacts | Any) -> Mapping[str, Any]:
    result = value.result if isinstance(value, TaskFacts) else value
    return result if isinstance(result, Mapping) else {}
