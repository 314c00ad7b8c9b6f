"""A task's links are made of names and of what tasks told, for the console of the region's partition."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_lib.links import (
    EMR,
    LIVY,
    LIVY_LOG,
    OUTPUT,
    REPORT,
    SPARK,
    WAREHOUSE,
    Looked,
    link_names,
    list_links,
    slots_of,
)
from airflow_lib.naming import Slot, run_key
from airflow_lib.settings import parse_settings
from airflow_lib.steps import Step
from airflow_lib.steps.answer import PublishAnswer
from airflow_lib.steps.load import CreateTables, LoadWindow
from airflow_lib.steps.preflight import Preflight
from airflow_lib.steps.provision import EnsureEmr, EnsureWarehouse, TakeLease
from airflow_lib.steps.release import ReleaseSlot, TakeInventory
from airflow_lib.steps.staging import CopyStaging
from airflow_lib.steps.transform import RunJob
from airflow_lib.steps.verify import VerifyTable
from tests.unit.operators.context import VARIABLES

HTTPS = "https://console.aws.amazon.com"
CLUSTER = {"cluster": "mayfly-dev-birds-warehouse-g3", "generation": 3}
CLUSTERS = {Slot.EMR: {"cluster_id": "j-1ABC", "generation": 2}, Slot.WAREHOUSE: CLUSTER}
STEPS: list[Step] = [
    Preflight(),
    TakeLease(),
    EnsureEmr(),
    EnsureWarehouse(),
    RunJob("sightings"),
    ReleaseSlot(Slot.EMR),
    CreateTables(),
    CopyStaging("staging_birds"),
    LoadWindow(),
    VerifyTable("birds"),
    PublishAnswer("rarest"),
    ReleaseSlot(Slot.WAREHOUSE),
    TakeInventory(),
]


def look(region: str = "eu-central-1", **known: Any) -> Looked:
    settings = parse_settings({**VARIABLES, "aws_region": region})
    return Looked(settings, "birds", "manual__1", **known)


def links(step: Step | None, region: str = "eu-central-1", **known: Any) -> dict[str, str]:
    return list_links(step, look(region, **known))


@pytest.mark.parametrize("step", [None, *STEPS])
def test_every_task_has_a_link_to_the_runs_report_in_s3(step: Step | None) -> None:
    key = f"logs%2Fbirds%2Fruns%2F{run_key('manual__1')}%2Freport.html"
    assert links(step)[REPORT] == f"{HTTPS}/s3/object/bucket?region=eu-central-1&prefix={key}"


@pytest.mark.parametrize("step", [None, *STEPS])
def test_a_task_has_no_link_but_those_that_airflow_was_told_of(step: Step | None) -> None:
    own = {"url": "http://10.0.0.9:8998", "session": 4, "manifest": "s3://bucket/processed/birds/a/b/m.json"}
    assert set(links(step, own=own, clusters=CLUSTERS)) == set(link_names(step))


def test_the_emr_console_opens_the_cluster_that_the_run_uses() -> None:
    page = f"{HTTPS}/emr/home?region=eu-central-1#/clusterDetails/"
    assert links(EnsureEmr(), own={"requested": "j-NEW"})[EMR] == f"{page}j-NEW"
    assert links(EnsureEmr(), own={"cluster_id": "j-DONE", "generation": 2})[EMR] == f"{page}j-DONE"
    assert links(ReleaseSlot(Slot.EMR), clusters=CLUSTERS)[EMR] == f"{page}j-1ABC"
    assert links(RunJob("a"), clusters=CLUSTERS)[SPARK] == f"{page}j-1ABC"


@pytest.mark.parametrize("told", [{}, {"cluster_id": "<script>"}, {"cluster_id": 7}, {"cluster_id": None}])
def test_without_the_id_of_the_cluster_the_console_lists_the_clusters(told: dict[str, Any]) -> None:
    assert links(EnsureEmr(), own=told)[EMR] == f"{HTTPS}/emr/home?region=eu-central-1#/clusters"


def test_a_run_that_needs_no_cluster_has_no_link_to_one() -> None:
    assert EMR not in links(EnsureEmr(), own={"needed": False})
    assert SPARK not in links(RunJob("a"), clusters={Slot.EMR: {"needed": False}})


@pytest.mark.parametrize("step", [one for one in STEPS if WAREHOUSE in link_names(one)])
def test_the_redshift_console_opens_the_cluster_of_the_runs_warehouse(step: Step) -> None:
    page = f"{HTTPS}/redshiftv2/home?region=eu-central-1#/cluster-details?cluster="
    assert links(step, clusters=CLUSTERS)[WAREHOUSE] == f"{page}mayfly-dev-birds-warehouse-g3"


def test_a_warehouse_that_is_being_created_is_found_by_its_generation() -> None:
    found = links(EnsureWarehouse(), own={"generation": 7, "deadline": "2016-04-01"})[WAREHOUSE]
    assert found.endswith("?cluster=mayfly-dev-birds-warehouse-g7")


@pytest.mark.parametrize("name", ["mayfly-dev-other-warehouse-g3", "mayfly-dev-birds-emr-g3", "x&y", 3, None])
def test_a_name_that_is_not_of_the_runs_warehouse_is_not_followed(name: Any) -> None:
    found = links(LoadWindow(), clusters={Slot.WAREHOUSE: {"cluster": name}})[WAREHOUSE]
    assert found == f"{HTTPS}/redshiftv2/home?region=eu-central-1#/clusters"


def test_livys_own_pages_are_of_the_session_that_the_task_watches() -> None:
    own = {"url": "https://ip-10-0-0-9.ec2.internal:8998", "session": 0, "fingerprint": "ab"}
    found = links(RunJob("a"), own=own)
    assert found[LIVY] == "https://ip-10-0-0-9.ec2.internal:8998/ui/session/0"
    assert found[LIVY_LOG] == "https://ip-10-0-0-9.ec2.internal:8998/ui/session/0/log"


def test_while_there_is_no_session_livys_page_lists_them() -> None:
    found = links(RunJob("a"), own={"url": "http://10.0.0.9:8998"})
    assert (found[LIVY], LIVY_LOG in found) == ("http://10.0.0.9:8998/ui", False)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "http://user:pass@10.0.0.9:8998", "http://a b:1", None, 1]
)
def test_what_is_no_address_of_a_livy_server_is_no_link(url: Any) -> None:
    assert not {LIVY, LIVY_LOG} & set(links(RunJob("a"), own={"url": url, "session": 1}))


def test_a_jobs_output_is_the_folder_of_its_manifest() -> None:
    own = {"manifest": "s3://bucket/processed/birds/sightings/0123abcd/manifest.json"}
    prefix = "processed%2Fbirds%2Fsightings%2F0123abcd%2F"
    assert (
        links(RunJob("a"), own=own)[OUTPUT]
        == f"{HTTPS}/s3/buckets/bucket?region=eu-central-1&prefix={prefix}"
    )


@pytest.mark.parametrize(
    "manifest", ["s3://other/processed/birds/x", "s3://bucket/processed/birdsong/x", 1, None]
)
def test_an_output_elsewhere_than_the_pipelines_is_no_link(manifest: Any) -> None:
    assert OUTPUT not in links(RunJob("a"), own={"manifest": manifest})


def test_an_answers_output_is_where_it_is_published() -> None:
    found = links(PublishAnswer("rarest"))[OUTPUT]
    assert found.endswith("/s3/buckets/bucket?region=eu-central-1&prefix=published%2Fbirds%2Frarest%2F")


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "console.aws.amazon.com"),
        ("cn-north-1", "console.amazonaws.cn"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_a_console_of_its_own(region: str, host: str) -> None:
    found = links(PublishAnswer("rarest"), region, clusters=CLUSTERS)
    assert {url.split("/")[2] for url in found.values()} == {host}
    assert all(f"region={region}" in url for url in found.values())


@pytest.mark.parametrize("region", ["us-iso-east-1", "us-isob-east-1"])
def test_a_partition_whose_console_is_not_known_has_no_links(region: str) -> None:
    assert links(PublishAnswer("rarest"), region, clusters=CLUSTERS) == {}


def test_what_the_links_need_of_other_tasks_is_told_by_step() -> None:
    needs = {type(step).__name__: slots_of(step) for step in STEPS}
    assert needs["RunJob"] == (Slot.EMR,)
    assert needs["LoadWindow"] == (Slot.WAREHOUSE,)
    assert needs["Preflight"] == ()
    assert slots_of(None) == ()


def test_no_link_holds_a_secret() -> None:
    secret = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "geheim" * 7}
    settings = parse_settings({**VARIABLES, "aws_credentials": json.dumps(secret)})
    for step in STEPS:
        told = str(list_links(step, Looked(settings, "birds", "run", clusters=CLUSTERS)))
        assert "AKIA" not in told
        assert "geheim" not in told
