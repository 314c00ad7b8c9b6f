"""Malformed neighbours: environments of the same deployment whose registers and tags nobody can read.

What bears our own environment's tag and nearly our name is `foreign`'s.
"""

from __future__ import annotations

from typing import Any

from airflow_lib.lifecycle.document import Document, encode_document
from airflow_lib.naming import TAG_ENVIRONMENT, TAG_EXPIRES_AT
from tests.world import World
from tests.world.account import BUCKET

# The register of the first cannot be read; the second's is empty, and so knows none of what bears its name and tag.
BROKEN, ODD = "broken", "odd"
REGISTERS = {
    f"state/{BROKEN}/register.json": b"[" * 100_000,
    f"state/{ODD}/register.json": encode_document(Document("dev-odd")),
    "state/No Pipeline/register.json": b"\xff",
    "state//register.json": b"",
}
_TRUST = '{"Version": "2012-10-17", "Statement": []}'


def put_malformed_neighbours(world: World) -> None:
    """Each with a cluster, a role and a security group, whose tags hold no time, or no value."""
    for key, body in REGISTERS.items():
        world.others.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    for pipeline in (BROKEN, ODD):
        _put_things(world, f"dev-{pipeline}")
    world.advance(600)  # their clusters have started


def _put_things(world: World, environment: str) -> None:
    aws, prefix = world.others, f"mayfly-{environment}-"
    aws.emr.run_job_flow(
        Name=f"{prefix}emr-g1",
        ReleaseLabel="emr-7.13.0",
        Instances={"KeepJobFlowAliveWhenNoSteps": True},
        JobFlowRole="r",
        ServiceRole="r",
        Tags=_tags(environment, "99999-01-01T00:00:00Z"),
    )
    role = f"{prefix}emr-ec2-g1"
    aws.iam.create_role(RoleName=role, AssumeRolePolicyDocument=_TRUST, Tags=_tags(environment, "never"))
    aws.ec2.create_security_group(
        GroupName=f"{prefix}warehouse-sg-g1",
        Description="d",
        TagSpecifications=[{"ResourceType": "security-group", "Tags": _tags(environment, "2026-01-01")}],
    )


def _tags(environment: str, expires_at: str) -> list[Any]:
    values = {TAG_ENVIRONMENT: environment, TAG_EXPIRES_AT: expires_at, "mayfly:note": ""}
    return [{"Key": key, "Value": value} for key, value in values.items()]
