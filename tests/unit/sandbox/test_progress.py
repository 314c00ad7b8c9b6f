"""Spark's progress, read from Livy."""

from __future__ import annotations

import io
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import responses
from botocore.exceptions import ClientError

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.pipeline import SparkJob, Window
from airflow_lib.spark.outputs import Output
from airflow_lib.steps.statement import render_statement
from sandbox.progress import Session, SparkProgress

LIVY = "http://master.test:8998"


class FakeAccount:
    """An account with an EMR that has the given clusters, and an S3 with the given objects of the bucket `lake`."""

    def __init__(self, hosts: list[str | None], release: str, objects: dict[str, bytes]) -> None:
        self._hosts, self._release, self._objects = hosts, release, objects

    def client(self, service: str) -> Any:
        def get_object(**wanted: str) -> dict[str, Any]:
            assert wanted["Bucket"] == "lake"
            if wanted["Key"] not in self._objects:
                raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
            return {"Body": io.BytesIO(self._objects[wanted["Key"]])}

        def describe_cluster(**wanted: str) -> dict[str, Any]:
            host = self._hosts[int(wanted["ClusterId"])]
            return {
                "Cluster": {"ReleaseLabel": self._release, **({"MasterPublicDnsName": host} if host else {})}
            }

        clusters = [{"Id": str(n)} for n in range(len(self._hosts))]
        if service == "s3":
            return SimpleNamespace(get_object=get_object)
        return SimpleNamespace(
            list_clusters=lambda **_: {"Clusters": clusters}, describe_cluster=describe_cluster
        )


def poll(hosts: list[str | None], release: str = "emr-7.3.0", **objects: bytes) -> tuple[Session, ...]:
    return SparkProgress(FakeAccount(hosts, release, objects)).poll()


@responses.activate
def test_the_livy_of_a_later_release_is_asked_by_tls() -> None:
    sessions = [{"id": 0, "name": "a", "state": "starting"}]
    responses.get(LIVY.replace("http:", "https:") + "/sessions", json={"sessions": sessions})
    assert poll(["master.test"], "emr-7.4.0") == (Session("a", "starting"),)


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ([], ""),
        ([{"code": "print(1)"}], ""),
        ([{"code": "with progress(spark, 's3://lake/gone'):"}], ""),
        ([{"code": "with progress(spark, 's3://lake/done'):"}], "stage 1 of 2 so far"),
        (
            [{"code": "progress(spark, 's3://lake/gone')"}, {"code": "progress(spark, 's3://lake/done')"}],
            "stage 1 of 2 so far",
        ),
    ],
)
@responses.activate
def test_what_a_busy_sessions_driver_tells_is_in_the_file_that_its_statement_names(
    statements: list[Any], told: str
) -> None:
    sessions = [{"id": 3, "name": "mayfly-sandbox-immigration-0123456789ab-airports", "state": "busy"}]
    responses.get(f"{LIVY}/sessions", json={"sessions": sessions})
    responses.get(f"{LIVY}/sessions/3/statements", json={"statements": statements})
    assert poll(["master.test"], done=b"stage 1 of 2\x1b so far\n") == (Session("airports", "busy", told),)


@responses.activate
def test_the_file_that_is_looked_for_is_the_one_that_the_product_names() -> None:
    run: Any = SimpleNamespace(
        pipeline=SimpleNamespace(name="p"), window=Window(date(2016, 4, 1), date(2016, 4, 2))
    )
    output = Output(S3Location("lake", "processed/p"), "job", "a1")
    code = render_statement(run, SparkJob("job", ("x.csv",)), output, [[]], "attempt")
    responses.get(f"{LIVY}/sessions", json={"sessions": [{"id": 3, "name": "a", "state": "busy"}]})
    responses.get(f"{LIVY}/sessions/3/statements", json={"statements": [{"code": code}]})
    found = poll(["master.test"], **{"processed/p/job/a1/progress.txt": b"begun"})
    assert found == (Session("a", "busy", "begun"),)


@responses.activate
def test_no_statements_are_requested_of_a_session_that_is_starting() -> None:
    responses.get(f"{LIVY}/sessions", json={"sessions": [{"id": 0, "name": None, "state": "starting"}]})
    assert poll(["master.test"]) == (Session("0", "starting"),)


@pytest.mark.parametrize(
    "answer", [{"status": 500}, {"body": "no JSON"}, {"body": requests.ConnectionError()}]
)
@responses.activate
def test_a_livy_that_ends_during_a_request_is_no_error(answer: dict[str, Any]) -> None:
    responses.get(f"{LIVY}/sessions", **answer)
    assert poll(["master.test"]) == ()


def test_a_cluster_without_an_address_yet_has_no_sessions() -> None:
    assert poll([None]) == ()
