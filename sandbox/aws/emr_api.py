"""EMR's calls, where moto's differ from AWS's: patched into moto's classes once, at start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import InvalidSubnetIdError
from moto.emr.models import Cluster, ElasticMapReduceBackend
from moto.emr.responses import ElasticMapReduceResponse
from moto.emr.utils import (
    EmrManagedMasterSecurityGroup,
    EmrManagedSecurityGroup,
    EmrManagedServiceAccessSecurityGroup,
    EmrManagedSlaveSecurityGroup,
    EmrSecurityGroupManager,
)

from sandbox.aws import emr_life, iam
from sandbox.aws.ec2 import is_public
from sandbox.aws.emr import Lives, LivySettings
from sandbox.aws.emr_checks import check_idle_timeout, find_doom, refuse
from sandbox.aws.emr_life import Reason

_DEFAULTS = {
    EmrManagedSecurityGroup.Kind.MASTER: EmrManagedMasterSecurityGroup,
    EmrManagedSecurityGroup.Kind.SLAVE: EmrManagedSlaveSecurityGroup,
    EmrManagedSecurityGroup.Kind.SERVICE: EmrManagedServiceAccessSecurityGroup,
}


def install(lives: Lives) -> None:
    """Patch moto: clusters live by `lives`, and AWS's refusals apply."""
    emr_life.install(lives.of)
    Cluster.run_bootstrap_actions = _leave_states_alone
    _install_run(lives)
    _install_policies()
    ElasticMapReduceBackend._manage_security_groups = _manage_security_groups


def _leave_states_alone(self: Cluster) -> None:
    """moto would go to WAITING here; states are `emr_life`'s work."""


def _install_run(lives: Lives) -> None:
    moto_run = ElasticMapReduceResponse.run_job_flow

    def run_job_flow(self: ElasticMapReduceResponse) -> ActionResult:
        request = json.loads(self.body)
        refuse(request, self.region, self.backend.list_release_labels())
        doom = find_doom(request, self.region)
        result = moto_run(self)
        cluster = self.backend.clusters[result.result["JobFlowId"]]
        cluster.sandbox_auto_termination = request.get("AutoTerminationPolicy")
        cluster.sandbox_managed_scaling = request.get("ManagedScalingPolicy")
        role = iam.find_instance_profile(request["JobFlowRole"]).roles[0]
        settings = livy_settings(role.name, request.get("Configurations", ()))
        lives.begin(cluster, settings, Reason("VALIDATION_ERROR", doom) if doom else None)
        return result

    ElasticMapReduceResponse.run_job_flow = run_job_flow


def livy_settings(role_name: str, configurations: Sequence[dict[str, Any]]) -> LivySettings:
    """What a request's configurations say to its cluster's Livy."""
    conf = _properties_of(configurations, "livy-conf")
    return LivySettings(role_name, conf, _properties_of(_nested(configurations, "livy-env"), "export"))


def _nested(configurations: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The configurations within those of a classification."""
    found = (one.get("Configurations", ()) for one in configurations if one.get("Classification") == name)
    return [inner for several in found for inner in several]


def _properties_of(configurations: Sequence[dict[str, Any]], name: str) -> dict[str, str]:
    """The properties of a classification."""
    merged: dict[str, str] = {}
    for configuration in configurations:
        if configuration.get("Classification") == name:
            merged |= configuration.get("Properties", {})
    return merged


def _install_policies() -> None:
    """The calls that moto lacks: auto-termination and managed scaling are kept, and answered."""
    for name, attribute in (
        ("AutoTerminationPolicy", "sandbox_auto_termination"),
        ("ManagedScalingPolicy", "sandbox_managed_scaling"),
    ):
        snake = "auto_termination_policy" if name.startswith("Auto") else "managed_scaling_policy"
        for verb, method in _policy_methods(name, attribute).items():
            setattr(ElasticMapReduceResponse, f"{verb}_{snake}", method)


def _policy_methods(name: str, attribute: str) -> dict[str, Any]:
    def cluster_of(response: ElasticMapReduceResponse) -> tuple[Cluster, dict[str, Any]]:
        request = json.loads(response.body)
        return response.backend.describe_cluster(request["ClusterId"]), request

    def put(self: ElasticMapReduceResponse) -> EmptyResult:
        cluster, request = cluster_of(self)
        if name == "AutoTerminationPolicy":
            check_idle_timeout(request.get(name))
        setattr(cluster, attribute, request.get(name))
        return EmptyResult()

    def get(self: ElasticMapReduceResponse) -> ActionResult:
        cluster, _ = cluster_of(self)
        policy = getattr(cluster, attribute, None)
        return ActionResult({name: policy} if policy else {})

    def remove(self: ElasticMapReduceResponse) -> EmptyResult:
        cluster, _ = cluster_of(self)
        setattr(cluster, attribute, None)
        return EmptyResult()

    return {"put": put, "get": get, "remove": remove}


class _Rules(EmrSecurityGroupManager):
    """EMR's own rules among the groups that there are; a service access group only in private subnets."""

    @staticmethod
    def _render_rules(rules: Any, managed_groups: dict[str, Any]) -> list[dict[str, Any]]:
        possible = []
        for rule in rules:
            sources = [source for source in rule["source_groups"] if source["GroupId"] in managed_groups]
            named = rule["group_name_or_id"] in managed_groups
            if named and (sources or not rule["source_groups"]):
                possible.append({**rule, "source_groups": sources})
        return EmrSecurityGroupManager._render_rules(possible, managed_groups)

    def manage(self, wanted: dict[str, str | None], *, private: bool) -> dict[str, str | None]:
        groups = {
            kind: self._get_or_create_sg(group_id, _DEFAULTS[kind])
            for kind, group_id in wanted.items()
            if group_id or private or kind != EmrManagedSecurityGroup.Kind.SERVICE
        }
        self._add_rules_to(groups)
        return {kind: groups[kind].id if kind in groups else None for kind in wanted}


def _manage_security_groups(
    self: ElasticMapReduceBackend,
    ec2_subnet_id: str | None,
    emr_managed_master_security_group: str | None,
    emr_managed_slave_security_group: str | None,
    service_access_security_group: str | None,
    **_: Any,
) -> tuple[str | None, str | None, str | None]:
    """EMR writes rules of its own into the groups it is given, so that they reference each other."""
    kind = EmrManagedSecurityGroup.Kind
    wanted = {
        kind.MASTER: emr_managed_master_security_group,
        kind.SLAVE: emr_managed_slave_security_group,
        kind.SERVICE: service_access_security_group,
    }
    try:
        subnet = self.ec2_backend.get_subnet(ec2_subnet_id) if ec2_subnet_id else None
    except InvalidSubnetIdError:
        return tuple(wanted.values())
    if any(group and not self.ec2_backend.get_security_group_from_id(group) for group in wanted.values()):
        return tuple(wanted.values())
    subnet = subnet or next(iter(self.ec2_backend.get_default_subnets().values()))
    private = not is_public(self.ec2_backend, subnet)
    return tuple(_Rules(self.ec2_backend, subnet.vpc_id).manage(wanted, private=private).values())
