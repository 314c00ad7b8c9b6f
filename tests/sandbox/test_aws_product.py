"""Mayfly's own resource modules on the sandbox's AWS: every resource is created, used, and deleted again."""

from datetime import UTC, datetime

import pytest
from airflow_lib.resources.common import NotReady
from aws_fakes import shared_aws, until

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.naming import Environment, Names, Slot
from airflow_lib.naming import tags as tags_of
from airflow_lib.pipeline import Hardware
from airflow_lib.resources import emr_cluster as emr
from airflow_lib.resources import iam, snapshots, subnet_group
from airflow_lib.resources import redshift_cluster as redshift
from airflow_lib.resources import security_groups as network
from airflow_lib.resources.iam_policies import EmrScope
from airflow_lib.settings import EmrSettings, NetworkSettings

pytestmark = pytest.mark.sandbox

ENVIRONMENT = Environment("test", "flow")
NETWORK = NetworkSettings(client_cidr="127.0.0.1/32")


@pytest.fixture(scope="module")
def aws():
    return shared_aws()


def _tags(generation):
    return tags_of(ENVIRONMENT, generation, datetime(2026, 11, 21, tzinfo=UTC), 3600)


def _location(name):
    return S3Location("bucket", name)


def _retry_until_ready(work):
    """Call `work` until it does not raise NotReady."""

    def attempt():
        try:
            work()
        except NotReady:
            return False
        return True

    until(attempt, bool)


def test_an_emr_cluster_is_created_and_deleted_without_leftovers(aws):
    clients = {name: aws.client(name) for name in ("emr", "ec2", "iam")}
    names, tags = Names(ENVIRONMENT, Slot.EMR, 1), _tags(1)
    subnet = network.probe_subnet(clients["ec2"], None)
    assert subnet.public
    assert subnet.has_managed_tag
    scope = EmrScope(_location("source"), _location("processed"), _location("logs"))
    spec = emr.ClusterSpec(
        names=names,
        tags=tags,
        hardware=Hardware(),
        settings=EmrSettings(),
        roles=iam.ensure_emr_roles(clients["iam"], names, tags, scope),
        groups=network.ensure_emr_groups(
            clients["ec2"], names, tags, subnet, network=NETWORK, livy_port=8998
        ),
        subnet_id=subnet.subnet_id,
        log_uri="s3://bucket/logs",
        configurations=[],
    )
    cluster_id = emr.request_cluster(clients["emr"], spec)
    assert [view.id for view in emr.find_clusters(clients["emr"], names)] == [cluster_id]
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert [view.id for view in emr.find_clusters(clients["emr"], names, created_after=since)] == [cluster_id]
    last = until(
        lambda: emr.probe_cluster(clients["emr"], cluster_id), lambda view: view.ready or view.failed
    )[-1]
    assert last.ready, last.reason

    emr.delete_cluster(clients["emr"], ENVIRONMENT, cluster_id)
    with pytest.raises(NotReady):
        network.delete_groups(clients["ec2"], ENVIRONMENT, network.emr_group_names(names))
    until(lambda: emr.probe_cluster(clients["emr"], cluster_id).gone, bool)
    _retry_until_ready(
        lambda: network.delete_groups(clients["ec2"], ENVIRONMENT, network.emr_group_names(names))
    )
    iam.delete_emr_roles(clients["iam"], names)
    assert emr.list_owned_clusters(clients["emr"], ENVIRONMENT) == []
    assert network.list_owned_groups(clients["ec2"], ENVIRONMENT) == []
    assert iam.list_owned_roles(clients["iam"], ENVIRONMENT) == []
    assert iam.list_owned_instance_profiles(clients["iam"], ENVIRONMENT) == []


def _make_warehouse(aws, generation, restore_from=None):
    client, ec2 = aws.client("redshift"), aws.client("ec2")
    names, tags = Names(ENVIRONMENT, Slot.WAREHOUSE, generation), _tags(generation)
    subnet = network.probe_subnet(ec2, None)
    spec = redshift.WarehouseSpec(
        names=names,
        tags=tags,
        node_type="ra3.large",
        nodes=1,
        database="mayfly",
        subnet_group=subnet_group.ensure_subnet_group(client, names, tags, subnet.subnet_id),
        security_group_id=network.ensure_warehouse_group(ec2, names, tags, subnet, network=NETWORK),
        copy_role_arn=iam.ensure_copy_role(aws.client("iam"), names, tags, _location("processed")),
    )
    redshift.ensure_cluster(client, spec, restore_from)
    redshift.ensure_cluster(client, spec, restore_from)  # the second call adopts it
    last = until(
        lambda: redshift.probe_cluster(client, names.cluster), lambda view: view.ready or view.failed
    )[-1]
    assert last.ready, last
    return names, last


def _remove_warehouse(aws, names, final):
    client = aws.client("redshift")
    redshift.delete_cluster(client, ENVIRONMENT, names.cluster, final_snapshot=final)
    until(lambda: redshift.probe_cluster(client, names.cluster), lambda view: view is None)
    subnet_group.delete_subnet_group(client, ENVIRONMENT, names.cluster)
    network.delete_groups(aws.client("ec2"), ENVIRONMENT, [names.security_group])
    iam.delete_copy_role(aws.client("iam"), names)


def test_a_warehouse_is_deleted_and_only_its_snapshot_is_left(aws):
    client = aws.client("redshift")
    first, _ = _make_warehouse(aws, 1)
    _remove_warehouse(aws, first, first.final_snapshot)
    snapshots.ensure_snapshot_tags(client, first, _tags(1))
    assert snapshots.probe_snapshot(client, first.final_snapshot).ready

    second, view = _make_warehouse(aws, 2, restore_from=first.final_snapshot)
    assert view.tags == _tags(2), "a restored cluster has its own generation's tags"
    _remove_warehouse(aws, second, second.final_snapshot)
    snapshots.ensure_snapshot_tags(client, second, _tags(2))

    pruned = snapshots.prune_snapshots(client, ENVIRONMENT, keep=1, never=[])
    assert pruned == [first.final_snapshot]
    owned = [item.name for item in snapshots.list_owned_snapshots(client, ENVIRONMENT)]
    assert owned == [second.final_snapshot]
    assert redshift.list_owned_clusters(client, ENVIRONMENT) == []
    assert subnet_group.list_owned_subnet_groups(client, ENVIRONMENT) == []
    assert network.list_owned_groups(aws.client("ec2"), ENVIRONMENT) == []
    assert iam.list_owned_roles(aws.client("iam"), ENVIRONMENT) == []
    snapshots.delete_snapshot(client, ENVIRONMENT, second.final_snapshot)
