from __future__ import annotations

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ForeignResource, NotReady
from airflow_lib.naming import Names
from airflow_lib.resources import subnet_groups as groups
from airflow_lib.resources.kind import GenerationSpec
from airflow_lib.resources.owned import as_tag_list

from .conftest import ENVIRONMENT, OTHER, TAGS, Faulty, refused, with_clients


def _create(aws: Aws, name: str, subnet_id: str, tags: dict[str, str]) -> None:
    aws.redshift.create_cluster_subnet_group(
        ClusterSubnetGroupName=name, Description="d", SubnetIds=[subnet_id], Tags=as_tag_list(tags)
    )


def test_the_subnet_group_is_made_adopted_listed_and_deleted(
    aws: Aws, warehouse_spec: GenerationSpec
) -> None:
    names, subnet_id = warehouse_spec.names, warehouse_spec.subnet.subnet_id
    groups.ensure_subnet_groups(aws, warehouse_spec)
    name = groups.ensure_subnet_group(aws.redshift, names, TAGS, subnet_id)
    assert (name,) == groups.subnet_group_names(names)

    (owned,) = groups.list_owned_subnet_groups(aws.redshift, ENVIRONMENT)
    assert (owned.name, owned.tags) == (name, TAGS)
    assert groups.probe_subnet_group(aws.redshift, ENVIRONMENT, name) == owned
    assert groups.list_owned_subnet_groups(aws.redshift, OTHER) == []

    groups.delete_subnet_groups(aws, names)
    assert groups.probe_subnet_group(aws.redshift, ENVIRONMENT, name) is None
    assert groups.list_owned_subnet_groups(aws.redshift, ENVIRONMENT) == []


def test_the_group_holds_the_subnet_of_the_generation(aws: Aws, warehouse_spec: GenerationSpec) -> None:
    groups.ensure_subnet_groups(aws, warehouse_spec)
    (group,) = aws.redshift.describe_cluster_subnet_groups(
        ClusterSubnetGroupName=warehouse_spec.names.cluster
    )["ClusterSubnetGroups"]
    assert [one["SubnetIdentifier"] for one in group["Subnets"]] == [warehouse_spec.subnet.subnet_id]


def test_a_group_that_redshift_says_exists_is_adopted(aws: Aws, warehouse_spec: GenerationSpec) -> None:
    names, subnet_id = warehouse_spec.names, warehouse_spec.subnet.subnet_id
    groups.ensure_subnet_groups(aws, warehouse_spec)
    # moto overwrites a group of the same name; AWS refuses.
    strict = Faulty(
        aws.redshift, {"create_cluster_subnet_group": [refused("ClusterSubnetGroupAlreadyExists")]}
    )
    assert groups.ensure_subnet_group(strict, names, TAGS, subnet_id) == names.cluster  # type: ignore[arg-type]


def test_a_group_without_our_tag_is_neither_used_nor_deleted(
    aws: Aws, warehouse_spec: GenerationSpec
) -> None:
    names = warehouse_spec.names
    _create(aws, names.cluster, warehouse_spec.subnet.subnet_id, {})
    strict = Faulty(
        aws.redshift, {"create_cluster_subnet_group": [refused("ClusterSubnetGroupAlreadyExists")]}
    )
    with pytest.raises(ForeignResource):
        groups.ensure_subnet_groups(with_clients(aws, redshift=strict), warehouse_spec)
    with pytest.raises(ForeignResource):
        groups.delete_subnet_groups(aws, names)
    assert groups.list_owned_subnet_groups(aws.redshift, ENVIRONMENT) == []
    assert aws.redshift.describe_cluster_subnet_groups(ClusterSubnetGroupName=names.cluster)


def test_a_group_that_bears_our_tag_and_another_name_is_not_ours(
    aws: Aws, warehouse_spec: GenerationSpec
) -> None:
    _create(aws, "analyst", warehouse_spec.subnet.subnet_id, TAGS)
    assert groups.list_owned_subnet_groups(aws.redshift, ENVIRONMENT) == []


@pytest.mark.parametrize("code", ["InvalidClusterSubnetGroupStateFault", "InvalidClusterSubnetStateFault"])
def test_a_group_in_use_is_deleted_on_the_next_try(
    aws: Aws, warehouse_spec: GenerationSpec, code: str
) -> None:
    groups.ensure_subnet_groups(aws, warehouse_spec)
    held = with_clients(aws, redshift=Faulty(aws.redshift, {"delete_cluster_subnet_group": [refused(code)]}))
    with pytest.raises(NotReady, match=code):
        groups.delete_subnet_groups(held, warehouse_spec.names)
    groups.delete_subnet_groups(held, warehouse_spec.names)
    assert groups.list_owned_subnet_groups(aws.redshift, ENVIRONMENT) == []


def test_deleting_what_is_absent_is_success(aws: Aws, warehouse_names: Names) -> None:
    groups.delete_subnet_groups(aws, warehouse_names)
    groups.delete_subnet_group(aws.redshift, ENVIRONMENT, warehouse_names.cluster)
