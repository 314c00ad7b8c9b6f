"""What may be wanting is told before anything is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS
from moto.s3.models import s3_backends
from pydantic import SecretStr

from airflow_lib.aws.clients import open_aws
from airflow_lib.errors import MayflyError, ResourceError, SettingsError, SizingError, SourceError
from airflow_lib.naming import TAG_EMR_MANAGED
from airflow_lib.pipeline import Source
from airflow_lib.settings import AwsCredentials, PipelineSettings
from airflow_lib.spark.outputs import Counts, write_manifest
from airflow_lib.steps import Done, Run
from airflow_lib.steps.preflight import Preflight
from airflow_lib.steps.transform import resolve_job
from tests.world import World
from tests.world.account import BUCKET, REGION
from tests.world.pipeline import APRIL, PIPELINE, rows_of
from tests.world.spark import parquet_of, put
from tests.world.wire import Kind

MakeRun = Callable[..., Run]


def refused(run: Run, kind: type[MayflyError], told: str) -> None:
    with pytest.raises(kind, match=told):
        Preflight().begin(run)


def with_origin(run: Run, origin: str) -> Run:
    """The run, with credentials that come from there."""
    return replace(run, services=replace(run.services, aws=replace(run.services.aws, origin=origin)))


def test_what_a_run_needs_is_told_and_its_code_is_shipped(world: World, run: Run) -> None:
    outcome = Preflight().begin(run)
    assert isinstance(outcome, Done)
    assert outcome.result["inputs"]["airports"] == [f"s3://{BUCKET}/source/immigration/airports.csv"]
    assert outcome.result["sessions"] == 2
    (code,) = [key for key in world.objects() if "_code" in key]
    assert outcome.result["code"] == f"s3://{BUCKET}/{code}"


def test_wrong_credentials_name_the_variable_and_not_the_secret(world: World, run: Run) -> None:
    world.wire.inject("sts.GetCallerIdentity", Kind.REFUSED, code="InvalidClientTokenId")
    credentials = AwsCredentials(access_key_id="AKIA", secret_access_key=SecretStr("geheim"))
    settings = run.settings.model_copy(update={"credentials": credentials})
    run = replace(with_origin(run, open_aws(settings).origin), settings=settings)
    with pytest.raises(SettingsError, match="Variable aws_credentials: .*InvalidClientTokenId") as caught:
        Preflight().begin(run)
    assert "geheim" not in str(caught.value)


def test_the_origin_of_the_credentials_is_named(world: World, run: Run) -> None:
    world.wire.inject("sts.GetCallerIdentity", Kind.REFUSED, code="ExpiredToken")
    refused(
        with_origin(run, "the Airflow connection aws_default"), SettingsError, "aws_default: .*ExpiredToken"
    )


def with_overrides(run: Run, *names: str) -> Run:
    mayfly = run.settings.mayfly.model_copy(
        update={"pipelines": {name: PipelineSettings() for name in names}}
    )
    return replace(run, settings=run.settings.model_copy(update={"mayfly": mayfly}))


@pytest.mark.parametrize("name", ["immigraton", "imigration", "emigration"])
def test_overrides_under_a_misspelt_name_of_the_pipeline_are_told(run: Run, name: str) -> None:
    told = rf"mayfly: pipelines\.{name}: no pipeline of this name has code.*did you mean pipelines\.immigration\?"
    refused(with_overrides(run, name), SettingsError, told)
    refused(with_overrides(run, name, "immigration"), SettingsError, told)


def test_a_misspelt_name_with_mistakes_below_it_is_told_too(run: Run) -> None:
    settings = run.settings.model_copy(update={"override_mistakes": {"immigraton": ["mayfly: …"]}})
    refused(replace(run, settings=settings), SettingsError, "did you mean pipelines.immigration")


def test_overrides_of_the_pipeline_and_of_others_are_no_mistake(run: Run) -> None:
    with patch("airflow_lib.steps.preflight.list_pipelines", return_value=["immigration2"]):
        outcome = Preflight().begin(with_overrides(run, "immigration", "immigration2", "flats"))
    assert isinstance(outcome, Done)


def test_a_missing_source_is_named_with_what_is_there(world: World, run: Run) -> None:
    world.others.s3.delete_object(Bucket=BUCKET, Key="source/immigration/airports.csv")
    refused(run, SourceError, r"airports\.csv: missing or empty")


def test_what_a_job_rejected_before_is_told_before_anything_is_made(world: World, run: Run) -> None:
    job = replace(run.pipeline.job("arrivals"), max_rejected=0.3)
    output = resolve_job(run, job).output
    put(output.target_uri("t1") + "_SUCCESS", b"")
    put(output.target_uri("t1") + "part-0.parquet", parquet_of(rows_of("arrivals", APRIL)))
    write_manifest(run.aws.s3, output, "t1", Counts(read=10, written=6, rejected={"no_cicid": 4}))
    assert isinstance(Preflight().begin(run), Done)
    strict = replace(run, pipeline=replace(run.pipeline, jobs=(job, run.pipeline.job("airports"))))
    refused(strict, SourceError, r"'arrivals' rejected 4 of 10 rows \(40 %: no_cicid 4\)\. At most 30 %")


def test_a_source_that_lacks_a_declared_column_is_told_together_with_a_missing_one(
    world: World, run: Run
) -> None:
    airports = Source("airports.csv", columns=("code", "city"))
    jobs = [
        replace(job, sources=(airports,)) if job.name == "airports" else replace(job, sources=("none.csv",))
        for job in run.pipeline.jobs
    ]
    run = replace(run, pipeline=replace(run.pipeline, jobs=tuple(jobs)))
    body = b"code,town\nJFK,New York\n"
    world.others.s3.put_object(Bucket=BUCKET, Key="source/immigration/airports.csv", Body=body)
    refused(
        run, SettingsError, r"(?s)none\.csv: missing.*airports\.csv lacks the column city; it has: code, town"
    )


def test_of_one_job_a_missing_source_and_a_wrong_one_are_told_at_once(world: World, run: Run) -> None:
    sources = (Source("airports.csv", columns=("code", "city")), "none.csv")
    jobs = tuple(replace(job, sources=sources) for job in run.pipeline.jobs)
    run = replace(run, pipeline=replace(run.pipeline, jobs=jobs))
    body = b"code,town\nJFK,New York\n"
    world.others.s3.put_object(Bucket=BUCKET, Key="source/immigration/airports.csv", Body=body)
    refused(run, SettingsError, r"(?s)none\.csv: missing.*airports\.csv lacks the column city")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b"PK\x03\x04rest",
            "is a ZIP archive or an Excel workbook: unpack it, or save it as CSV, and upload that",
        ),
        (b"<html>", "is a page of HTML or XML"),
        (
            b"JFK,12.5\nLAX,3\n",
            "begins with a row of values, not with a header. Put the line .* in front: code,city",
        ),
    ],
)
def test_a_source_of_another_kind_is_told_for_what_it_is(
    world: World, run: Run, body: bytes, told: str
) -> None:
    sources = (Source("airports.csv", columns=("code", "city")),)
    jobs = tuple(replace(job, sources=sources) for job in run.pipeline.jobs)
    run = replace(run, pipeline=replace(run.pipeline, jobs=jobs))
    world.others.s3.put_object(Bucket=BUCKET, Key="source/immigration/airports.csv", Body=body)
    refused(run, SettingsError, told)


def test_an_unknown_instance_type_is_refused(world: World, make_run: MakeRun) -> None:
    refused(make_run(emr={"core_type": "m5.huge"}), SizingError, "m5.huge")


@pytest.mark.parametrize("location", ["processed", "state", "logs"])
def test_a_missing_bucket_is_told_before_anything_is_made(world: World, location: str) -> None:
    places = {name: f"s3://{BUCKET}/{name}" for name in ("source", "processed", "state", "logs")}
    run = world.run("run1", pipeline=PIPELINE, s3={**places, location: "s3://nobody-made-me/x"})
    refused(run, ResourceError, "nobody-made-me.*Create the bucket")


def test_a_closed_bucket_is_told(world: World, run: Run) -> None:
    world.wire.inject("s3.ListObjectsV2", Kind.DENIED, times=99)
    refused(run, ResourceError, "Grant the action")


# What is told of the network and of AWS's offers, each with what AWS does today where nobody tells.

GROUP = "sg-0123456789abcdef0"


def subnet_of(world: World) -> dict[str, Any]:
    """The subnet that a run takes where the settings name none."""
    subnets = world.others.ec2.describe_subnets()["Subnets"]
    return dict(min(subnets, key=lambda one: one["AvailabilityZone"]))


def plant_no_tag(world: World) -> None:
    """EMR: "... is not authorized to perform: ec2:CreateNetworkInterface", and the cluster ends by itself."""
    key, value = TAG_EMR_MANAGED
    world.others.ec2.delete_tags(
        Resources=[subnet_of(world)["SubnetId"]], Tags=[{"Key": key, "Value": value}]
    )


def plant_no_dns_hostnames(world: World) -> None:
    """https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-clusters-in-a-vpc.html"""
    world.others.ec2.modify_vpc_attribute(
        VpcId=subnet_of(world)["VpcId"], EnableDnsHostnames={"Value": False}
    )


def plant_no_dns_support(world: World) -> None:
    world.others.ec2.modify_vpc_attribute(VpcId=subnet_of(world)["VpcId"], EnableDnsSupport={"Value": False})


def plant_no_addresses(world: World) -> None:
    """RunJobFlow: "... does not have enough free addresses"."""
    backend = ec2_backends[DEFAULT_ACCOUNT_ID][REGION]
    backend.get_subnet(subnet_of(world)["SubnetId"])._available_ip_addresses = 1


def plant_elsewhere(world: World) -> None:
    """COPY: "... the bucket must be in the same region"; it takes no REGION for Parquet."""
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET].region_name = "eu-west-1"


def plant_group_of_another_vpc(world: World) -> str:
    vpc = world.others.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = world.others.ec2.create_security_group(GroupName="airflow", Description="d", VpcId=vpc)
    return made["GroupId"]


def nothing(_: World) -> None: ...


FAULTS = [
    pytest.param(
        plant_no_tag, {}, "lacks for-use-with-amazon-emr-managed-policies=true.*Add the tag", id="tag"
    ),
    pytest.param(
        plant_no_dns_hostnames,
        {},
        "enableDnsHostnames of the VPC is off.*modify-vpc-attribute",
        id="hostnames",
    ),
    pytest.param(plant_no_dns_support, {}, "enableDnsSupport of the VPC is off", id="dns"),
    pytest.param(
        plant_no_addresses,
        {},
        r"1 are free, and the clusters need \d+\. Name a larger subnet",
        id="addresses",
    ),
    pytest.param(
        plant_elsewhere, {}, r"is in eu-west-1.*COPY of Parquet.*mayfly\.s3\.processed", id="region"
    ),
    pytest.param(
        nothing,
        {"network": {"client_security_group_id": "sg-airflow"}},
        r"sg-airflow: this is no security group's id.*network\.client_security_group_id",
        id="malformed group",
    ),
    pytest.param(
        nothing,
        {"network": {"client_security_group_id": GROUP}},
        r"does not exist in this region.*network\.client_security_group_id",
        id="absent group",
    ),
    pytest.param(
        nothing,
        {"network": {"subnet_id": "subnet-0bad", "client_cidr": "10.0.0.0/16"}},
        "subnet-0bad",
        id="subnet",
    ),
    pytest.param(
        nothing,
        {"emr": {"core_type": "m6id.xlarge"}},
        "m6id.xlarge: EC2 does not offer it in us-east-1",
        id="type",
    ),
    pytest.param(
        nothing,
        {"warehouse": {"node_type": "ra9.large"}},
        r"ra9\.large: Redshift does not offer it",
        id="node",
    ),
    pytest.param(
        nothing,
        {"warehouse": {"node_type": "ra3.4xlarge", "nodes": 1}},
        r"does not offer a single-node cluster.*warehouse\.nodes",
        id="single node",
    ),
]


@pytest.mark.parametrize(("plant", "mayfly", "told"), FAULTS)
def test_what_would_fail_after_an_hour_is_told_before_anything_is_made(
    world: World, make_run: MakeRun, plant: Callable[[World], None], mayfly: dict[str, Any], told: str
) -> None:
    plant(world)
    if "core_type" in mayfly.get("emr", {}):
        withhold(mayfly["emr"]["core_type"])
    refused(make_run(**mayfly), MayflyError, told)
    assert not [call for call in world.wire.calls if call.operation.startswith(("Create", "Run", "Put"))]


def withhold(instance_type: str) -> None:
    """EC2 offers the type in no zone of the region any more, for this test."""
    offerings = INSTANCE_TYPE_OFFERINGS["availability-zone"]
    kept = [one for one in offerings[REGION] if one["InstanceType"] != instance_type]
    withheld.enter_context(patch.dict(offerings, {REGION: kept}))


withheld = ExitStack()


@pytest.fixture(autouse=True)
def _offer_again() -> Iterator[None]:
    yield
    withheld.close()


def test_a_group_of_another_vpc_is_told(world: World, make_run: MakeRun) -> None:
    group = plant_group_of_another_vpc(world)
    run = make_run(network={"client_security_group_id": group})
    refused(run, SettingsError, f"{group}: is of vpc-.* no active peering connects.*network")


def test_all_that_is_wrong_is_told_at_once(world: World, make_run: MakeRun) -> None:
    for plant in (plant_no_tag, plant_no_dns_hostnames, plant_no_addresses, plant_elsewhere):
        plant(world)
    world.others.s3.delete_object(Bucket=BUCKET, Key="source/immigration/airports.csv")
    run = make_run(network={"client_security_group_id": GROUP}, warehouse={"node_type": "ra9.large"})
    with pytest.raises(SettingsError) as caught:
        Preflight().begin(run)
    lines = caught.value.message.splitlines()
    assert lines[0] == "7 things must be corrected before a run:"
    for told in (
        "airports.csv",
        "eu-west-1",
        "are free",
        GROUP,
        "for-use-with",
        "enableDnsHostnames",
        "ra9.large",
    ):
        assert sum(told in line for line in lines) == 1


def test_a_mistake_in_the_sizes_does_not_hide_the_others(world: World, make_run: MakeRun) -> None:
    plant_no_tag(world)
    refused(make_run(emr={"core_type": "m5.huge"}), SettingsError, r"m5\.huge(.|\n)*for-use-with")


ASKED = [
    "ec2.DescribeSubnets",
    "ec2.DescribeVpcAttribute",
    "ec2.DescribeInstanceTypeOfferings",
    "redshift.DescribeOrderableClusterOptions",
    "s3.HeadBucket",
    "ec2.DescribeSecurityGroups",
]


@pytest.mark.parametrize("kind", [Kind.DENIED, Kind.THROTTLED, Kind.TIMEOUT])
@pytest.mark.parametrize("operation", ASKED)
def test_what_cannot_be_known_refuses_no_run(
    world: World, make_run: MakeRun, operation: str, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    world.wire.inject(operation, kind, times=99)
    subnet = subnet_of(world)
    group = world.others.ec2.create_security_group(
        GroupName="airflow", Description="d", VpcId=subnet["VpcId"]
    )
    outcome = Preflight().begin(make_run(network={"client_security_group_id": group["GroupId"]}))
    assert isinstance(outcome, Done)
    assert "cannot be known before the run" in caplog.text


def test_what_a_run_does_not_create_is_not_told(world: World, make_run: MakeRun) -> None:
    """Another run made both clusters, and took the last addresses: this one uses them."""
    from tests.world.walk import walk

    assert walk(world, make_run("run1"), only="provision").errors == {}
    plant_no_addresses(world)
    plant_no_tag(world)
    assert isinstance(Preflight().begin(make_run("run2")), Done)


def test_where_every_output_is_complete_nothing_is_told_of_emrs_needs(
    world: World, make_run: MakeRun
) -> None:
    from tests.world.walk import walk

    assert walk(world, make_run("run1")).errors == {}
    world.forget_held()
    plant_no_tag(world)
    plant_no_dns_support(world)
    assert isinstance(Preflight().begin(make_run("run2")), Done)
    plant_no_addresses(world)
    assert isinstance(Preflight().begin(make_run("run2")), Done)  # the warehouse's one node has room
    refused(make_run("run3", warehouse={"nodes": 2}), SettingsError, "the clusters need 3")


def test_each_question_is_granted_to_the_principal(world: World, run: Run) -> None:
    policy = (Path(__file__).parents[4] / "docs/iam-principal-policy.json").read_text()
    for operation in ASKED:
        asked = "s3:ListBucket" if operation == "s3.HeadBucket" else operation.replace(".", ":")
        assert f'"{asked}"' in policy


def test_few_calls_are_made_to_find_this_out(world: World, run: Run) -> None:
    Preflight().begin(run)
    asked = [str(call) for call in world.wire.calls if str(call) in ASKED]
    assert sorted(asked) == sorted([*ASKED[:5], "ec2.DescribeVpcAttribute"])


def test_nothing_is_made_of_what_is_found_wanting(world: World, run: Run) -> None:
    from tests.world.walk import walk

    world.others.s3.delete_object(Bucket=BUCKET, Key="source/immigration/airports.csv")
    walked = walk(world, run)
    assert walked.red
    assert walked.states["provision.preflight"] == "failed"
    assert walked.states["release.inventory"] == "success"
    assert not {call.operation for call in world.wire.calls if call.operation.startswith(("Create", "Run"))}
