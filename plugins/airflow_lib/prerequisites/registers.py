"""The registers that there are, and the snapshots that they name: what earlier runs left for the next one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from botocore.exceptions import ClientError

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import code_of
from airflow_lib.aws.s3 import list_folders, read_object
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.lifecycle.document import decode_document
from airflow_lib.naming import Environment
from airflow_lib.prerequisites.finding import Finding, examine, ok, wrong
from airflow_lib.settings import Settings


def check_registers(aws: Aws, settings: Settings) -> Iterator[Finding]:
    """Each pipeline's register; a new deployment has none."""
    state = S3Location.parse(settings.mayfly.s3.state)
    pipelines = list_folders(aws.s3, state.bucket, state.folder_key)
    found = 0
    for pipeline in pipelines:
        place = state.below(pipeline)
        body = read_object(aws.s3, place.bucket, place.key("register.json"))
        if body is None:
            continue
        found += 1
        environment = Environment(settings.mayfly.deployment, pipeline)
        uri = place.uri("register.json")
        yield from examine(
            f"register of {environment.name}", partial(_check_register, aws, environment, body, uri)
        )
    if not found:
        yield ok("registers", f"none below {state}: nothing ran yet")


def _check_register(aws: Aws, environment: Environment, body: bytes, uri: str) -> Iterator[Finding]:
    subject = f"register of {environment.name}"
    snapshot = decode_document(body, uri, environment.name).warehouse.snapshot
    yield ok(subject, "can be read")
    if snapshot is None:
        return
    try:
        aws.redshift.describe_cluster_snapshots(SnapshotIdentifier=snapshot)
    except ClientError as error:
        if code_of(error) != "ClusterSnapshotNotFound":
            raise
        yield wrong(
            f"snapshot {snapshot}",
            f"{uri} names it, and Redshift does not have it: the warehouse cannot be restored from it. Find out who "
            "deleted it; the register's earlier versions (the bucket's versioning keeps them) name the ones before.",
        )
    else:
        yield ok(f"snapshot {snapshot}", f"exists, as {uri} says")
