"""Provision: prerequisites, then leases, then both clusters at once."""

from __future__ import annotations

import pytest

from operators.preflight import PreflightOperator
from subdags.provision import provision
from tests.dags.graph import upstream


@pytest.mark.parametrize("cluster", ["provision.emr", "provision.warehouse"])
def test_a_cluster_is_created_after_prerequisites_are_checked_and_leases_taken(build, cluster):
    dag = build(provision)
    assert {"provision.preflight", "provision.lease"} <= upstream(dag, cluster)


def test_no_lease_is_taken_before_prerequisites_are_checked(build):
    assert upstream(build(provision), "provision.lease") == {"provision.preflight"}


def test_the_clusters_are_created_in_parallel(build):
    dag = build(provision)
    assert "provision.warehouse" not in upstream(dag, "provision.emr")
    assert "provision.emr" not in upstream(dag, "provision.warehouse")


def test_the_preflight_checks_that_somebody_could_be_told(build):
    assert type(build(provision).get_task("provision.preflight")) is PreflightOperator
