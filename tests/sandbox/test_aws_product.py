"""Mayfly's own resource modules on the sandbox's AWS: every resource is created, used, and deleted again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aws_fakes import shared_aws, until

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import NotReady
from airflow_lib.lifecycle.inventory import list_owned
from airflow_lib.naming import Environment, Names, Slot
from airflow_lib.naming import tags as tags_of
from airflow_lib.pipeline import Hardware
from airflow_lib.resources import emr_cluster, redshift_cluster, security_groups, snapshots
from airflow_lib.resources.kind import GenerationSpec
from airflow_lib.resources.registry import REGISTRY
from airflow_lib.resources.subnet import probe_subnet
from airflow_lib.settings import parse_settings

pytestmark = pytest.mark.sandbox

ENVIRONMENT = Environment("test", "flow")
SETTINGS = {
    "deployment": "test",
    "s3": {name: f"s3://bucket/{name}" for name in ("source", "processed", "published", "state", "logs")},
    "network": {"client_cidr": "127.0.0.1/32"},
}


class Session:
    """The one method of boto3.Session that `Aws` uses."""

    def __init__(self, process: Any) -> None:
        self._process = process

    def client(self, service: str, **_: Any) -> Any:
        return self._process.client(service)


@pytest.fixture(scope="module")
def aws() -> Aws:
    return Aws(Session(shared_aws()))  # type: ignore[arg-type]


def _spec(aws: Aws, slot: Slot, generation: int) -> GenerationSpec:
    settings = parse_settings({"aws_region": "us-east-1", "mayfly": json.dumps(SETTINGS)}).mayfly
    return GenerationSpec(
        names=Names(ENVIRONMENT, slot, generation),
        tags=tags_of(ENVIRONMENT, generation, datetime(2026, 11, 21, tzinfo=UTC), 3600),
        hardware=Hardware(),
        settings=settings,
        subnet=probe_subnet(aws.ec2, None),
        source=S3Location("bucket", "source"),
        processed=S3Location("bucket", "processed"),
        published=S3Location("bucket", "published"),
        logs=S3Location("bucket", "logs"),
    )


def _ensure_prerequisites(aws: Aws, spec: GenerationSpec) -> None:
    for kind in reversed(REGISTRY):
        if kind.ensure is not None:
            kind.ensure(aws, spec)


def _delete_all(aws: Aws, names: Names, *, keep_data: bool = False) -> None:
    """In the registry's order, each kind until none is left."""
    for kind in REGISTRY:
        if kind.delete is not None:
            delete = kind.delete
            _retry_until_ready(lambda delete=delete: delete(aws, names, keep_data=keep_data))


def _retry_until_ready(work: Callable[[], None]) -> None:
    """Call `work` until it does not raise NotReady."""

    def attempt() -> bool:
        try:
            work()
        except NotReady:
            return False
        return True

    until(attempt, bool)


def _once_roles_are_seen(create: Callable[[], Any]) -> Any:
    """What `create` answers once IAM lags no longer; while it did, it was NotReady."""
    shared_aws().ask("POST", "delays", {"iam_s": 3600})
    try:
        with pytest.raises(NotReady, match="too young"):
            create()
    finally:
        shared_aws().ask("POST", "delays", {"iam_s": 0})
    return create()


def test_an_emr_cluster_is_created_and_deleted_without_leftovers(aws: Aws) -> None:
    spec = _spec(aws, Slot.EMR, 1)
    names = spec.names
    assert spec.subnet.public
    assert spec.subnet.has_managed_tag
    _ensure_prerequisites(aws, spec)
    cluster_id = _once_roles_are_seen(lambda: emr_cluster.request_cluster(aws, spec, datetime.now(UTC)))
    assert [view.id for view in emr_cluster.find_clusters(aws.emr, names)] == [cluster_id]
    last = until(
        lambda: emr_cluster.probe_cluster(aws.emr, cluster_id), lambda view: view.ready or view.failed
    )[-1]
    assert last.ready, last.reason

    with pytest.raises(NotReady):
        emr_cluster.delete_clusters(aws, names)
    with pytest.raises(NotReady):
        security_groups.delete_groups(aws.ec2, ENVIRONMENT, security_groups.group_names(names))
    _delete_all(aws, names)
    assert list_owned(aws, ENVIRONMENT).owned == ()


def _create_warehouse(aws: Aws, generation: int, restore_from: str | None = None) -> Any:
    spec = replace(_spec(aws, Slot.WAREHOUSE, generation), restore_from=restore_from)
    _ensure_prerequisites(aws, spec)
    _once_roles_are_seen(lambda: redshift_cluster.ensure_cluster(aws, spec, datetime.now(UTC)))
    redshift_cluster.ensure_cluster(aws, spec, datetime.now(UTC))  # the second call adopts it
    last = until(
        lambda: redshift_cluster.probe_cluster(aws.redshift, spec.names.cluster),
        lambda view: view.ready or view.failed,
    )[-1]
    assert last.ready, last
    assert last.find_role(spec.names.copy_role)
    return spec, last


def test_a_warehouse_is_deleted_and_only_its_snapshot_is_left(aws: Aws) -> None:
    first, _ = _create_warehouse(aws, 1)
    _delete_all(aws, first.names, keep_data=True)
    snapshots.ensure_snapshot_tags(aws.redshift, first.names, first.tags)
    assert snapshots.probe_snapshot(aws.redshift, first.names.final_snapshot).ready

    second, view = _create_warehouse(aws, 2, restore_from=first.names.final_snapshot)
    assert view.tags == second.tags, "a restored cluster has its own generation's tags"
    _delete_all(aws, second.names, keep_data=True)
    snapshots.ensure_snapshot_tags(aws.redshift, second.names, second.tags)

    pruned = snapshots.prune_snapshots(aws.redshift, ENVIRONMENT, keep=1, protected=[])
    assert pruned == [first.names.final_snapshot]
    assert [item.name for item in list_owned(aws, ENVIRONMENT).owned] == [second.names.final_snapshot]
    snapshots.delete_snapshot(aws.redshift, ENVIRONMENT, second.names.final_snapshot)
