"""The world's S3 against botocore with moto behind it: the same answers, and as many requests for each fault."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from airflow_lib.aws.clients import _RETRYING
from tests.world import World
from tests.world.account import BUCKET, _session
from tests.world.wire import Kind

HERE, GONE = {"Bucket": BUCKET, "Key": "here"}, {"Bucket": BUCKET, "Key": "gone"}
REQUESTS: dict[str, Callable[[Any], Any]] = {
    "get": lambda s3: s3.get_object(**HERE)["Body"].read(),
    "get what is not there": lambda s3: s3.get_object(**GONE),
    "get a range": lambda s3: s3.get_object(**HERE, Range="bytes=1-1")["Body"].read(),
    "get the version of a range": lambda s3: s3.get_object(
        **HERE, Range="bytes=1-1", IfMatch=s3.get_object(**HERE, Range="bytes=0-0")["ETag"]
    )["Body"].read(),
    "get what was overtaken": lambda s3: s3.get_object(**HERE, Range="bytes=1-1", IfMatch='"else"'),
    "get a version of what is not there": lambda s3: s3.get_object(**GONE, IfMatch='"else"'),
    "get from no bucket": lambda s3: s3.get_object(Bucket="none-such", Key="here"),
    "head": lambda s3: s3.head_object(**HERE)["ContentLength"],
    "head what is not there": lambda s3: s3.head_object(**GONE),
    "put": lambda s3: s3.put_object(**HERE, Body=b"new")["ETag"],
    "put a new one": lambda s3: s3.put_object(**GONE, Body=b"new", IfNoneMatch="*")["ETag"],
    "put where there is one": lambda s3: s3.put_object(**HERE, Body=b"new", IfNoneMatch="*"),
    "swap": lambda s3: s3.put_object(**HERE, Body=b"new", IfMatch=s3.get_object(**HERE)["ETag"])["ETag"],
    "swap what was overtaken": lambda s3: s3.put_object(**HERE, Body=b"new", IfMatch='"else"'),
    "swap what is not there": lambda s3: s3.put_object(**GONE, Body=b"new", IfMatch='"else"'),
    "delete": lambda s3: s3.delete_object(**HERE) and None,
    "delete what is not there": lambda s3: s3.delete_object(**GONE) and None,
    "delete from no bucket": lambda s3: s3.delete_object(Bucket="none-such", Key="here"),
    "list": lambda s3: [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET, Prefix="h")["Contents"]],
    "list folders": lambda s3: [
        folder["Prefix"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="", Delimiter="/")
        for folder in page["CommonPrefixes"]
    ],
}
FAULTS = (Kind.ERROR, Kind.LOST, Kind.TIMEOUT, Kind.THROTTLED, Kind.DENIED)


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        world.others.s3.put_object(**HERE, Body=b"old")
        world.others.s3.put_object(Bucket=BUCKET, Key="folder/one", Body=b"1")
        yield world


def outcome(world: World, s3: Any, request: Callable[[Any], Any]) -> tuple[Any, ...]:
    """What came of a request, how many it took, and what is stored then."""
    before = len(world.wire.calls)
    try:
        answer: tuple[Any, ...] = ("answered", request(s3))
    except ClientError as error:
        answer = (
            "refused",
            error.response["Error"]["Code"],
            error.response["ResponseMetadata"]["HTTPStatusCode"],
        )
    except BotoCoreError as error:
        answer = ("unanswered", type(error).__name__)
    stored = {
        key: world.others.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in world.objects()
    }
    return (*answer, [call.operation for call in world.wire.calls[before:]], stored)


def both(world: World, request: Callable[[Any], Any], order: Callable[[], None]) -> list[tuple[Any, ...]]:
    real = world.wire.attach(_session().client("s3", config=_RETRYING))
    outcomes = []
    for s3 in (world.aws.s3, real):
        world.others.s3.delete_object(**GONE)
        world.others.s3.put_object(**HERE, Body=b"old")
        world.wire.faults.clear()
        order()
        outcomes.append(outcome(world, s3, request))
    return outcomes


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=list(REQUESTS))
def test_it_answers_as_botocore_does(world: World, request_: Callable[[Any], Any]) -> None:
    ours, botocores = both(world, request_, lambda: None)
    assert ours == botocores


@pytest.mark.parametrize("times", [1, 2, math.inf])
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("get", "GetObject"),
        ("head", "HeadObject"),
        ("put", "PutObject"),
        ("delete", "DeleteObject"),
        ("list", "ListObjectsV2"),
    ],
)
def test_a_fault_is_met_as_botocore_meets_it(
    world: World, name: str, operation: str, kind: Kind, times: float
) -> None:
    ours, botocores = both(
        world, REQUESTS[name], lambda: world.wire.inject(f"s3.{operation}", kind, times) and None
    )
    assert ours == botocores
