"""Quotas against needs; the faults that are named are in test_doctor.py."""

from __future__ import annotations

from airflow_lib.pipeline import Hardware
from airflow_lib.prerequisites.quotas import (
    check_iam,
    check_redshift_nodes,
    check_security_groups,
    check_vcpus,
)

from .account import Account


def test_the_vcpus_of_all_nodes_count(account: Account) -> None:
    (found,) = check_vcpus(account.aws, Hardware(core_type="m5.2xlarge", core_count=3))
    assert f"{4 + 3 * 8} are needed" in found.message
    (found,) = check_vcpus(account.aws, Hardware(core_count=3))
    assert f"{4 * 4} are needed" in found.message


def test_a_quota_that_is_not_listed_is_unknown(account: Account) -> None:
    account.refuse("service-quotas.GetServiceQuota", "NoSuchResourceException")
    account.answers["service-quotas.ListServiceQuotas"] = {
        "Quotas": [{"QuotaName": "Snapshots", "Value": 1.0}]
    }
    account.answers["iam.GetAccountSummary"] = {"SummaryMap": {}}
    with account.watched():
        found = [
            *check_vcpus(account.aws, Hardware()),
            *check_security_groups(account.aws),
            *check_redshift_nodes(account.aws, Hardware()),
            *check_iam(account.aws),
        ]
    assert [one.standing for one in found] == ["unknown"] * 5


def test_the_nodes_that_there_are_count(account: Account) -> None:
    account.answers["redshift.DescribeClusters"] = {
        "Clusters": [{"NumberOfNodes": 120}, {"NumberOfNodes": 80}]
    }
    with account.watched():
        (found,) = check_redshift_nodes(account.aws, Hardware())
    assert (found.standing, "200, and 201 are needed" in found.message) == ("wrong", True)
