"""Spark's progress, read from Livy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import requests
import responses

from sandbox.progress import Session, SparkProgress

LIVY = "http://master.test:8998"


class FakeAccount:
    """An account whose only service is an EMR with the given clusters."""

    def __init__(self, hosts: list[str | None], release: str) -> None:
        self._hosts, self._release = hosts, release

    def client(self, service: str) -> Any:
        def describe_cluster(**wanted: str) -> dict[str, Any]:
            host = self._hosts[int(wanted["ClusterId"])]
            return {
                "Cluster": {"ReleaseLabel": self._release, **({"MasterPublicDnsName": host} if host else {})}
            }

        clusters = [{"Id": str(n)} for n in range(len(self._hosts))]
        return SimpleNamespace(
            list_clusters=lambda **_: {"Clusters": clusters}, describe_cluster=describe_cluster
        )


def poll(hosts: list[str | None], release: str = "emr-7.3.0") -> tuple[Session, ...]:
    return SparkProgress(FakeAccount(hosts, release)).poll()


@responses.activate
def test_the_livy_of_a_later_release_is_asked_by_tls() -> None:
    sessions = [{"id": 0, "name": "a", "state": "starting"}]
    responses.get(LIVY.replace("http:", "https:") + "/sessions", json={"sessions": sessions})
    assert poll(["master.test"], "emr-7.4.0") == (Session("a", "starting", 0.0),)


@pytest.mark.parametrize(
    ("statements", "progress"),
    [
        ([], 0.0),
        ([{"state": "running", "progress": 0.25}], 0.25),
        ([{"state": "waiting", "progress": None}], 0.0),
        ([{"state": "available", "progress": 1.0}, {"state": "running", "progress": 0.5}], 0.5),
        ([{"state": "available", "progress": 0.7}], 1.0),
    ],
)
@responses.activate
def test_a_sessions_progress_is_that_of_its_last_statement(statements: list[Any], progress: float) -> None:
    sessions = [{"id": 3, "name": "mayfly-sandbox-immigration-0123456789ab-airports", "state": "busy"}]
    responses.get(f"{LIVY}/sessions", json={"sessions": sessions})
    responses.get(f"{LIVY}/sessions/3/statements", json={"statements": statements})
    assert poll(["master.test"]) == (Session("airports", "busy", progress),)


@responses.activate
def test_no_statements_are_requested_of_a_session_that_is_starting() -> None:
    responses.get(f"{LIVY}/sessions", json={"sessions": [{"id": 0, "name": None, "state": "starting"}]})
    assert poll(["master.test"]) == (Session("0", "starting", 0.0),)


@pytest.mark.parametrize(
    "answer", [{"status": 500}, {"body": "no JSON"}, {"body": requests.ConnectionError()}]
)
@responses.activate
def test_a_livy_that_ends_during_a_request_is_no_error(answer: dict[str, Any]) -> None:
    responses.get(f"{LIVY}/sessions", **answer)
    assert poll(["master.test"]) == ()


def test_a_cluster_without_an_address_yet_has_no_sessions() -> None:
    assert poll([None]) == ()
