"""AWS's own roles and policy, and the topic; the faults that are named are in test_doctor.py."""

from __future__ import annotations

from airflow_lib.prerequisites.services import check_emr_policy, check_service_linked_roles, check_topic

from .account import Account, settings_with


def test_a_service_linked_role_is_there_or_is_made_by_the_first_cluster(account: Account) -> None:
    account.aws.iam.create_service_linked_role(AWSServiceName="redshift.amazonaws.com")
    account.answers["iam.GetRole"] = {"Role": {}}
    with account.watched():
        there = list(check_service_linked_roles(account.aws))
    account.answers.clear()
    made = list(check_service_linked_roles(account.aws))
    assert [one.standing for one in (*there, *made)] == ["ok"] * 4
    assert "the first cluster makes it" in made[0].message


def test_emrs_policy_is_that_of_the_callers_partition(account: Account) -> None:
    (found,) = check_emr_policy(account.aws, "arn:aws-us-gov:sts::1:assumed-role/r/s")
    assert found.message.startswith("arn:aws-us-gov:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2")


def test_without_a_topic_nothing_is_asked(account: Account) -> None:
    with account.watched():
        (found,) = check_topic(account.aws, settings_with(notify={}))
    assert (found.standing, account.called) == ("ok", [])
