"""The account: moto in this process, with nothing in it but what is there before any run."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from moto import backend_index, mock_aws
from moto.core.utils import method_names_from_class
from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import EC2Backend
from moto.iam import models as iam_models

from airflow_lib.aws.clients import Aws
from airflow_lib.pipeline import Pipeline, Source
from sandbox.aws import offers
from sandbox.aws.ec2 import dependents, tag_default_network
from tests.world.spark import put
from tests.world.timeline import Timeline
from tests.world.wire import Wire
from tests.world.wired_s3 import WiredS3

REGION = "us-east-1"
BUCKET = "mayfly-world"
_SERVICES = frozenset({"ec2", "emr", "iam", "redshift", "s3", "sns", "sts"})


class WiredSession:
    """The one method of boto3.Session that `Aws` uses; its clients are on the wire."""

    def __init__(self, wire: Wire, timeline: Timeline) -> None:
        self._wire, self._timeline = wire, timeline

    def client(self, service: str, config: Config) -> Any:
        if service == "s3":
            return WiredS3(self._wire, self._timeline)
        # Nobody checks signatures here, and they take a tenth of a call's time.
        unsigned = config.merge(Config(signature_version=UNSIGNED))
        return self._wire.attach(_session().client(service, config=unsigned))


def wired_aws(wire: Wire, timeline: Timeline) -> Aws:
    return Aws(WiredSession(wire, timeline))  # type: ignore[arg-type]


def plain_aws() -> Aws:
    """Clients of the same account that are not on the wire: other people's."""
    return Aws(_session())


@cache
def _session() -> boto3.Session:
    """One for all worlds: loading botocore's models takes longer than a test."""
    return boto3.Session(region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")


@cache
def _managed_policies() -> str:
    """The one of AWS's own policies that is attached: loading all thousand takes moto seconds."""
    known = json.loads(iam_models.aws_managed_policies_data)
    return json.dumps({name: known[name] for name in ("AmazonEMRServicePolicy_v2", "ReadOnlyAccess")})


def open_account(patches: ExitStack) -> None:
    """An empty account until `patches` is closed; security groups in use cannot be deleted."""
    moto_delete = EC2Backend._delete_security_group

    def delete(self: EC2Backend, vpc_id: str | None, group_id: str) -> None:
        for dependent in dependents(self, group_id):
            raise DependencyViolationError(f"resource {group_id} has a dependent object ({dependent})")
        moto_delete(self, vpc_id, group_id)

    # moto reads each service's class again at each request.
    names = cache(method_names_from_class)
    patches.enter_context(patch("moto.core.responses.method_names_from_class", names))
    # moto matches each request against the patterns of all its services, in turn.
    patterns = [one for one in backend_index.backend_url_patterns if one[0] in _SERVICES]
    patches.enter_context(patch.object(backend_index, "backend_url_patterns", patterns))
    patches.enter_context(patch.dict("os.environ", MOTO_EC2_LOAD_DEFAULT_AMIS="false"))
    patches.enter_context(patch.object(iam_models, "aws_managed_policies_data", _managed_policies()))
    patches.enter_context(mock_aws(config={"iam": {"load_aws_managed_policies": True}}))
    patches.enter_context(patch.object(EC2Backend, "_delete_security_group", delete))
    offers.install()
    tag_default_network(REGION)
    plain_aws().s3.create_bucket(Bucket=BUCKET)


def put_sources(pipeline: Pipeline) -> None:
    """Every source of the pipeline, by its first name."""
    for job in pipeline.jobs:
        for source in job.files:
            name = source.names[0] if isinstance(source, Source) else source
            put(
                f"s3://{BUCKET}/source/{pipeline.name}/{name}" + ("part-0" if name.endswith("/") else ""),
                b"x",
            )
