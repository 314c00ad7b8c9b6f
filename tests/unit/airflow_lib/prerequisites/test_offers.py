"""What AWS offers; the faults that are named are in test_doctor.py."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_lib.pipeline import Hardware
from airflow_lib.prerequisites.offers import (
    check_instance_types,
    check_node_type,
    check_public_access,
    check_release,
)

from .account import Account
from .test_network import subnet


def test_each_type_that_the_zone_lacks_is_named(account: Account) -> None:
    types = frozenset({"m5.xlarge", "mac1.metal", "q9.large"})
    found = list(check_instance_types(account.aws, subnet(), types))
    assert [one.subject for one in found] == ["instance type mac1.metal", "instance type q9.large"]


@pytest.mark.parametrize(
    ("options", "standing"),
    [
        ([], "wrong"),
        ([{"ClusterType": "multi-node"}], "wrong"),
        ([{"ClusterType": "single-node"}], "ok"),
        ([{}], "ok"),
        ([{"ClusterType": "single-node", "AvailabilityZones": [{"Name": "us-east-1f"}]}], "wrong"),
        (
            [
                {"ClusterType": "multi-node", "AvailabilityZones": [{"Name": "us-east-1a"}]},
                {"ClusterType": "single-node", "AvailabilityZones": [{"Name": "us-east-1f"}]},
            ],
            "wrong",
        ),
        (
            [
                {"ClusterType": "single-node", "AvailabilityZones": [{"Name": "us-east-1f"}]},
                {"ClusterType": "single-node", "AvailabilityZones": [{"Name": "us-east-1a"}]},
            ],
            "ok",
        ),
    ],
)
def test_a_node_type_is_offered_for_a_kind_of_cluster_in_a_zone(
    account: Account, options: list[dict[str, Any]], standing: str
) -> None:
    account.answers["redshift.DescribeOrderableClusterOptions"] = {"OrderableClusterOptions": options}
    with account.watched():
        (found,) = check_node_type(account.aws, subnet(), Hardware())
    assert found.standing == standing


def test_a_release_that_emr_calls_invalid_by_another_code_is_wrong_too(account: Account) -> None:
    account.refuse("emr.DescribeReleaseLabel", "ValidationException", "The supplied release label is invalid")
    with account.watched():
        (found,) = check_release(account.aws, "emr-7.99.0")
    assert found.standing == "wrong"


def test_block_public_access_may_be_off(account: Account) -> None:
    account.answers["emr.GetBlockPublicAccessConfiguration"] = {"BlockPublicAccessConfiguration": {}}
    with account.watched():
        (found,) = check_public_access(account.aws)
    assert (found.standing, "is off" in found.message) == ("ok", True)
