"""Where the clusters are: only where the run may use them and they can be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from airflow_lib.errors import (
    ForeignResource,
    LeaseLost,
    LivyUntrusted,
    NotReady,
    RegisterError,
    ResourceError,
    TerminalState,
    UnknownState,
)
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import LivyRecord
from airflow_lib.naming import TAG_ENVIRONMENT, Names, Slot
from airflow_lib.spark.livy_http import LivyEndpoint
from airflow_lib.steps import Run
from airflow_lib.steps.clusters import (
    contact_livy,
    endpoint_at,
    find_livy,
    find_warehouse,
    is_usable,
    probe_emr_cluster,
)
from tests.world import World
from tests.world.account import BUCKET
from tests.world.emr_clusters import Reason
from tests.world.pipeline import PIPELINE
from tests.world.walk import walk
from tests.world.wire import Kind


@pytest.fixture
def provided(world: World, run: Run) -> Run:
    assert walk(world, run, only="provision").errors == {}
    return run


def test_livy_is_on_the_recorded_clusters_master(world: World, provided: Run) -> None:
    (cluster,) = world.emr.live
    host = f"{cluster.id.lower()}.world.test"
    assert find_livy(provided) == LivyEndpoint(f"https://{host}:8998", world.livy.fingerprint(host))


@pytest.fixture
def creating(world: World, run: Run) -> Run:
    """A run that creates an EMR cluster, which is up."""
    run.register.apply(Slot.EMR, rules.acquire)
    made = world.others.emr.run_job_flow(
        Name=Names(run.environment, Slot.EMR, 1).cluster,
        ReleaseLabel="emr-7.13.0",
        Instances={"KeepJobFlowAliveWhenNoSteps": True},
        Tags=[{"Key": TAG_ENVIRONMENT, "Value": run.environment.name}],
    )
    run.register.apply(Slot.EMR, rules.record_cluster, generation=1, cluster_id=made["JobFlowId"])
    world.advance(300)
    return run


def contact(world: World, run: Run) -> LivyRecord | None:
    """What the register says of Livy after another contact with it."""
    state = world.register(PIPELINE).emr
    view = probe_emr_cluster(run, state)
    assert view is not None
    contact_livy(run, state, view)
    return world.register(PIPELINE).emr.livy


def test_whoever_takes_a_creation_over_demands_the_certificate_seen_first(
    world: World, creating: Run
) -> None:
    (cluster,) = world.emr.live
    host = f"{cluster.id.lower()}.world.test"
    first = contact(world, creating)
    assert first == LivyRecord("https", world.livy.fingerprint(host))
    assert contact(world, creating) == first
    world.livy.certificates[host] = "another"
    with pytest.raises(LivyUntrusted, match="another host answers there"):
        contact(world, creating)
    world.livy.certificates.clear()
    world.livy.speak_tls = False
    with pytest.raises(NotReady):
        contact(world, creating)
    assert world.register(PIPELINE).emr.livy == first


def test_the_livy_of_a_cluster_that_was_never_contacted_is_not_used(creating: Run) -> None:
    with pytest.raises(RegisterError, match="how its Livy is reached is not recorded"):
        find_livy(creating)


def test_a_certificate_that_a_ca_verifies_is_not_pinned(
    world: World, creating: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        world.livy, "contact", lambda host, port, **_: LivyEndpoint(f"https://{host}:{port}", ca="PEM")
    )
    monkeypatch.setattr(world.livy, "fingerprint", lambda _: None)
    run = world.run(creating.run_id, pipeline=PIPELINE)
    assert contact(world, run) == LivyRecord("https")


def test_a_recorded_certificate_is_demanded_and_else_the_ca_verifies(make_run: Callable[..., Run]) -> None:
    run = make_run()
    livy = run.settings.mayfly.livy.model_copy(update={"ca": "PEM"})
    mayfly = run.settings.mayfly.model_copy(update={"livy": livy})
    run = replace(run, settings=run.settings.model_copy(update={"mayfly": mayfly}))
    assert endpoint_at(run, "https://a", None) == LivyEndpoint("https://a", ca="PEM")
    assert endpoint_at(run, "https://a", "0f" * 32) == LivyEndpoint("https://a", "0f" * 32)
    assert endpoint_at(run, "http://a", None) == LivyEndpoint("http://a")


def test_where_the_settings_demand_tls_a_cluster_reached_without_it_is_not_used(
    world: World, run: Run, make_run: Callable[..., Run]
) -> None:
    world.livy.speak_tls = False
    assert walk(world, run, only="provision").errors == {}
    assert find_livy(run).url.startswith("http:")
    with pytest.raises(LivyUntrusted, match=r"was reached without TLS .* and mayfly\.livy demands TLS now"):
        find_livy(make_run(livy={"scheme": "https"}))


def test_a_cluster_that_ended_is_told_with_awss_reason(world: World, provided: Run) -> None:
    world.emr.end(world.emr.live[0], "TERMINATED_WITH_ERRORS", Reason("INSTANCE_FAILURE", "the master died"))
    with pytest.raises(TerminalState, match=r"WAITING was expected: INSTANCE_FAILURE: the master died"):
        find_livy(provided)
    assert not is_usable(provided, world.register(PIPELINE).emr)


def test_the_warehouse_is_found_with_its_role_for_copy(provided: Run) -> None:
    access = find_warehouse(provided)
    assert access.copy_role_arn.endswith("/mayfly-dev-immigration-warehouse-copy-g1")
    assert access.endpoint.host == "mayfly-dev-immigration-warehouse-g1.world.test"


def test_a_warehouse_that_is_not_available_is_an_error_that_says_what_to_do(
    world: World, provided: Run
) -> None:
    world.warehouses.live[0].status = "rebooting"
    with pytest.raises(ResourceError, match=r"is rebooting; available .* clear this task later"):
        find_warehouse(provided)
    assert not is_usable(provided, world.register(PIPELINE).warehouse)


def test_a_cluster_in_a_state_that_this_version_does_not_know_is_not_used(
    world: World, provided: Run
) -> None:
    world.warehouses.live[0].status = world.emr.live[0].state = "HIBERNATING"
    with pytest.raises(UnknownState, match="Redshift cluster .* is 'HIBERNATING'"):
        find_warehouse(provided)
    with pytest.raises(UnknownState, match="EMR cluster .* is 'HIBERNATING'"):
        find_livy(provided)
    for slot in Slot:
        assert not is_usable(provided, world.register(PIPELINE).slot(slot))


def test_without_a_lease_no_cluster_is_found(world: World, run: Run) -> None:
    with pytest.raises(LeaseLost):
        find_livy(run)
    with pytest.raises(LeaseLost):
        find_warehouse(run)
    assert not [call for call in world.wire.calls if call.service != "s3"]


def test_clusters_in_use_are_usable(world: World, provided: Run) -> None:
    document = world.register(PIPELINE)
    assert all(is_usable(provided, document.slot(slot)) for slot in Slot)


def test_a_cluster_that_may_not_be_described_is_not_usable(world: World, provided: Run) -> None:
    world.wire.inject("emr.DescribeCluster", Kind.DENIED)
    assert not is_usable(provided, world.register(PIPELINE).emr)


def test_a_cluster_of_others_is_never_used_though_the_register_names_it(world: World, provided: Run) -> None:
    made = world.others.emr.run_job_flow(
        Name="payroll", ReleaseLabel="emr-7.13.0", Instances={}, JobFlowRole="r", ServiceRole="r"
    )
    key = "state/immigration/register.json"
    body = world.others.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    recorded = str(world.register(PIPELINE).emr.cluster_id)
    changed = body.replace(recorded.encode(), made["JobFlowId"].encode())
    world.others.s3.put_object(Bucket=BUCKET, Key=key, Body=changed)
    with pytest.raises(ForeignResource, match="payroll exists without our tag"):
        find_livy(provided)
    assert not is_usable(provided, world.register(PIPELINE).emr)
