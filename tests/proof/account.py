"""What is in the account by moto's own books: everything, whatever its name and tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends
from moto.emr.models import emr_backends
from moto.iam.models import iam_backends
from moto.redshift.models import redshift_backends

from airflow_lib.resources.owned import as_tags
from sandbox.aws.emr_life import ENDED
from tests.world.account import BUCKET, REGION
from tests.world.neighbours import REGISTERS
from tests.world.wired_s3 import MotoObjects

SNAPSHOT = "Redshift snapshot"


@dataclass(frozen=True, order=True)
class Thing:
    """`id` where it has one besides its name."""

    kind: str
    name: str
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.id}".rstrip()


Account = dict[Thing, str]
Entry = tuple[Thing, dict[str, str], str]


def look() -> Account:
    """Each thing, and all of it that anybody could change."""
    return {thing: f"{state} {sorted(tags.items())}" for thing, tags, state in _everything()}


def read_tags() -> dict[Thing, dict[str, str]]:
    """Each thing's tags."""
    return {thing: tags for thing, tags, _ in _everything()}


def _everything() -> Iterator[Entry]:
    yield from _emr()
    yield from _redshift()
    yield from _groups()
    yield from _roles()
    yield from _registers()


def _emr() -> Iterator[Entry]:
    for cluster in emr_backends[ACCOUNT][REGION].clusters.values():
        if cluster.state not in ENDED:
            yield Thing("EMR cluster", cluster.name, cluster.id), as_tags(cluster.tags), cluster.state


def _redshift() -> Iterator[Entry]:
    backend = redshift_backends[ACCOUNT][REGION]
    for warehouse in backend.clusters.values():
        name = warehouse.cluster_identifier
        yield Thing("Redshift cluster", name), as_tags(warehouse.tags), warehouse.status
    for name, group in backend.subnet_groups.items():
        yield Thing("Redshift subnet group", name), as_tags(group.tags), ""
    for name, snapshot in backend.snapshots.items():
        yield Thing(SNAPSHOT, name), as_tags(snapshot.tags), snapshot.status


def _groups() -> Iterator[Entry]:
    for in_vpc in ec2_backends[ACCOUNT][REGION].groups.values():
        for group in in_vpc.values():
            tags = {tag["key"]: tag["value"] for tag in group.get_tags()}
            rules = sorted(str(rule.__dict__) for rule in (*group.ingress_rules, *group.egress_rules))
            yield Thing("security group", group.name, group.id), tags, str(rules)


def _roles() -> Iterator[Entry]:
    backend = iam_backends[ACCOUNT]["aws"]
    for role in backend.roles.values():
        policies = f"{sorted(role.policies)} {sorted(role.managed_policies)}"
        yield Thing("IAM role", role.name), as_tags(role.tags), policies
    for profile in backend.instance_profiles.values():
        held = str([role.name for role in profile.roles])
        yield Thing("IAM instance profile", profile.name), as_tags(profile.tags), held


def _registers() -> Iterator[Entry]:
    """The neighbours': what cannot be read is never written over."""
    bodies = MotoObjects()
    for key, body in REGISTERS.items():
        found = bodies.get((BUCKET, key))
        yield Thing("register", key), {}, "as it was" if found == body else repr(found)[:200]
