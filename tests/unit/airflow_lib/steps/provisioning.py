"""What the tests of provisioning share: what is made, and the shortest ways to a lease and to both clusters."""

from __future__ import annotations

from collections.abc import Callable

from airflow_lib.lifecycle.inventory import list_owned
from airflow_lib.steps import Run
from airflow_lib.steps.provision import (
    TakeLease,
)
from tests.world import World
from tests.world.walk import drive, walk

# What makes something, and the parameter that names it.
MAKERS = {
    "iam.CreateRole": "RoleName",
    "iam.CreateInstanceProfile": "InstanceProfileName",
    "ec2.CreateSecurityGroup": "GroupName",
    "emr.RunJobFlow": "Name",
    "redshift.CreateClusterSubnetGroup": "ClusterSubnetGroupName",
    "redshift.CreateCluster": "ClusterIdentifier",
}

# Deadlines that are soon over.
HASTY = {
    "emr": {"create_timeout_s": 300, "delete_timeout_s": 100},
    "warehouse": {"create_timeout_s": 300, "delete_timeout_s": 100},
}

MakeRun = Callable[..., Run]


def made(world: World) -> list[str]:
    return [str(call.params[MAKERS[str(call)]]) for call in world.wire.calls if str(call) in MAKERS]


def owned_ids(world: World, run: Run) -> set[tuple[str, str]]:
    return {(item.name, item.id) for item in list_owned(world.others, run.environment).owned}


def provide(world: World, run: Run) -> None:
    """Both clusters, by the shortest way."""
    walked = walk(world, run, only="provision")
    assert walked.errors == {}


def lease(world: World, run: Run) -> None:
    drive(TakeLease(), run, world)
