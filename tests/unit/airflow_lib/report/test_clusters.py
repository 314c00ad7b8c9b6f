"""The lifetimes of a run's clusters."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_lib.report.clusters import list_lifetimes
from tests.report_sample import at, facts, green, idle, task


def test_a_run_that_made_both_clusters_saw_their_whole_lives() -> None:
    emr, warehouse = list_lifetimes(green())
    assert (emr.title, emr.name) == ("EMR cluster", "mayfly-prod-weather-emr-g41")
    assert (emr.requested, emr.ready, emr.released, emr.gone) == (at(12), at(254), at(432), at(519))
    assert (emr.origin, emr.ending) == ("created by this run", "torn down by this run")
    assert (warehouse.title, warehouse.gone) == ("Redshift cluster", at(640))


def shared(outcome: str, **release: Any) -> Any:
    leased = {"warehouse": {"outcome": "use"}, "emr": {"outcome": "use"}}
    return facts(
        task("provision.lease", 0, 1, result=leased),
        task("provision.emr", 2, 3, result={"needed": False}),
        task("provision.warehouse", 2, 3, result={"cluster": "w"}),
        task("release.release_warehouse", 8, 9, result={"outcome": outcome}, **release),
    )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [("shared", "still hold it"), ("kept", "kept alive"), ("not_held", "not held"), ("odd", "not known")],
)
def test_a_cluster_of_others_has_no_begin_here_and_one_that_stays_no_end(outcome: str, words: str) -> None:
    (warehouse,) = list_lifetimes(shared(outcome))
    assert warehouse.origin == "created by another run"
    assert words in warehouse.ending
    assert (warehouse.requested, warehouse.ready, warehouse.released, warehouse.gone) == (
        None,
        at(3),
        at(8),
        None,
    )


def test_a_teardown_that_failed_is_no_end() -> None:
    (warehouse,) = list_lifetimes(shared("tear_down", state="failed"))
    assert warehouse.gone is None


def test_a_cluster_that_never_came_up_was_asked_for() -> None:
    (emr,) = list_lifetimes(
        facts(
            task("provision.lease", 0, 1, result={"emr": {"outcome": "create"}}),
            task("provision.emr", 2, 9, state="failed"),
            task("transform.release_emr", 10, 12, result={"outcome": "tear_down"}),
        )
    )
    assert (emr.requested, emr.ready, emr.gone, emr.origin) == (at(2), None, at(12), "never ready")


def test_a_run_that_made_none_has_none() -> None:
    assert list_lifetimes(idle()) == []
    assert (
        list_lifetimes(facts(task("provision.emr", 0, 1, result=5), task("provision.lease", 0, 1, result=[])))
        != []
    )
