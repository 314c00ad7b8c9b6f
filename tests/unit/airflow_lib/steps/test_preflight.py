"""What may be wanting is told before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from pydantic import SecretStr

from airflow_lib.aws.clients import open_aws
from airflow_lib.errors import MayflyError, ResourceError, SettingsError, SizingError, SourceError
from airflow_lib.settings import AwsCredentials
from airflow_lib.steps import Done, Run
from airflow_lib.steps.provision import Preflight
from tests.world import World
from tests.world.account import BUCKET
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


def test_a_missing_source_is_named_with_what_is_there(world: World, run: Run) -> None:
    world.others.s3.delete_object(Bucket=BUCKET, Key="source/immigration/airports.csv")
    refused(run, SourceError, r"airports\.csv: missing or empty")


def test_an_unknown_instance_type_is_refused(world: World, make_run: MakeRun) -> None:
    refused(make_run(emr={"core_type": "m5.huge"}), SizingError, "m5.huge")


@pytest.mark.parametrize("location", ["processed", "state", "logs"])
def test_a_missing_bucket_is_told_before_anything_is_made(
    world: World, make_run: MakeRun, location: str
) -> None:
    places = {name: f"s3://{BUCKET}/{name}" for name in ("source", "processed", "state", "logs")}
    run = make_run(s3={**places, location: "s3://nobody-made-me/x"})
    refused(run, ResourceError, "nobody-made-me.*Create the bucket")


def test_a_closed_bucket_is_told(world: World, run: Run) -> None:
    world.wire.inject("s3.ListObjectsV2", Kind.DENIED, times=99)
    refused(run, ResourceError, "Grant the action")


def test_nothing_is_made_of_what_is_found_wanting(world: World, run: Run) -> None:
    from tests.world.walk import walk

    world.others.s3.delete_object(Bucket=BUCKET, Key="source/immigration/airports.csv")
    walked = walk(world, run)
    assert walked.red
    assert walked.states["provision.preflight"] == "failed"
    assert walked.states["release.inventory"] == "success"
    assert not {call.operation for call in world.wire.calls if call.operation.startswith(("Create", "Run"))}
