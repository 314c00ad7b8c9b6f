"""What `backfill` counts and tells: clusters by the call log, what each run did, and the requests to Airflow."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
import responses

from sandbox.airflow.client import AirflowClient, Backfill
from sandbox.backfill import BackfillOptions, ClusterUse, describe_run, summary, use_of_clusters

URL = "http://airflow.test"
API = f"{URL}/api/v2"
RUN = {
    "dag_run_id": "backfill__2016-04-01T00:01:00+00:00",
    "data_interval_start": "2016-04-01T00:01:00Z",
    "data_interval_end": "2016-04-02T00:01:00Z",
    "state": "success",
    "start_date": None,
    "end_date": None,
}
IDLE: dict[str, Any] = {"nothing_to_do": "it is held", "tables": {}}
BUSY: dict[str, Any] = {
    "nothing_to_do": "",
    "tables": {"fact": {"before": 0, "rows": 7, "total": 9}, "dim": {"total": 3}},
}


def call(action: str, time: float, service: str = "redshift", status: int = 200) -> dict[str, Any]:
    return {"service": service, "action": action, "time": time, "status": status, "caller": "x", "n": 0}


def test_a_cluster_is_billed_from_the_request_for_it_to_the_one_for_its_end() -> None:
    calls = [
        call("RunJobFlow", 10, "elasticmapreduce"),
        call("CreateCluster", 11),
        call("TerminateJobFlows", 40, "elasticmapreduce"),
        call("TerminateJobFlows", 41, "elasticmapreduce"),
        call("DeleteCluster", 71),
        call("RestoreFromClusterSnapshot", 100),
        call("DeleteCluster", 110),
    ]
    assert use_of_clusters(calls) == {"emr": ClusterUse(1, 30.0), "redshift": ClusterUse(2, 70.0)}


def test_what_aws_refused_and_other_calls_count_for_nothing() -> None:
    calls = [
        call("CreateCluster", 1, status=400),
        call("DescribeClusters", 2),
        call("RunJobFlow", 3, "other"),
    ]
    assert use_of_clusters(calls) == {"emr": ClusterUse(), "redshift": ClusterUse()}


@pytest.mark.parametrize(
    ("report", "did"),
    [(IDLE, "it is held"), (BUSY, "loaded 7 rows in fact"), ({**BUSY, "tables": {}}, "loaded nothing")],
)
def test_a_run_is_told_by_its_window_and_what_it_did(report: dict[str, Any], did: str) -> None:
    told = describe_run(RUN, report)
    assert (told["window"], told["state"], told["did"]) == (["2016-04-01", "2016-04-02"], "success", did)


def test_the_summary_lists_the_days_in_order_and_says_what_is_red_and_left() -> None:
    first = describe_run(RUN, BUSY)
    second = {**first, "window": ["2016-04-02", "2016-04-03"], "state": "failed", "did": "loaded nothing"}
    report = {
        "runs": [second, first],
        "clusters": {"emr": {"made": 1, "seconds": 61.2}},
        "inventory": [{"kind": "IAM role", "name": "mayfly-x", "state": "exists"}],
        "wall_s": 99.6,
    }
    lines = summary(report)
    days = [line for line in lines if " to 2016" in line]
    assert ["2016-04-01" in days[0], "2016-04-02" in days[1]] == [True, True]
    assert "  emr       1 made, 61 s" in lines
    assert "  left behind: IAM role mayfly-x" in lines
    assert lines[-1] == "1 of 2 runs are red after 100 s; 1 resources are left behind."


def test_airflow_is_asked_for_whole_days_the_last_one_included() -> None:
    options = BackfillOptions(
        "a",
        date(2016, 4, 1),
        date(2016, 4, 5),
        max_active_runs=3,
        backwards=True,
        reprocess="failed",
        force=True,
    )
    assert options.wanted.as_json() == {
        "dag_id": "a",
        "from_date": "2016-04-01T00:00:00Z",
        "to_date": "2016-04-05T23:59:59Z",
        "max_active_runs": 3,
        "run_backwards": True,
        "reprocess_behavior": "failed",
        "dag_run_conf": {"force": True},
    }


def test_a_backfill_is_created_once_its_dag_is_unpaused() -> None:
    wanted = Backfill("a", date(2016, 4, 1), date(2016, 4, 2))
    client = AirflowClient(URL, "admin", "word")
    with responses.RequestsMock() as server:
        server.post(f"{URL}/auth/token", status=201, json={"access_token": "first"})
        server.patch(f"{API}/dags/a", json={})
        server.post(f"{API}/backfills", json={"id": 4})
        server.put(f"{API}/backfills/4/pause", json={})
        server.put(f"{API}/backfills/4/unpause", json={})
        server.put(f"{API}/backfills/4/cancel", json={})
        server.post(
            f"{API}/backfills/dry_run", json={"backfills": [{"logical_date": "2016-04-01T00:01:00Z"}]}
        )
        assert client.create_backfill(wanted) == 4
        client.pause_backfill(4)
        client.pause_backfill(4, False)
        client.cancel_backfill(4)
        assert client.plan_backfill(wanted) == ["2016-04-01T00:01:00Z"]
        sent = [(request.request.method, request.request.path_url) for request in server.calls][1:3]
        body = json.loads(server.calls[1].request.body or "{}")
    assert sent == [("PATCH", "/api/v2/dags/a"), ("POST", "/api/v2/backfills")]
    assert body == {"is_paused": False}
