"""What AWS offers and allows, where moto does not say: Redshift's node types, EMR's releases, the account's quotas."""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.emr.exceptions import InvalidRequestException
from moto.emr.models import ElasticMapReduceBackend
from moto.emr.responses import ElasticMapReduceResponse
from moto.redshift.responses import RedshiftResponse
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse

from sandbox.aws.redshift_checks import NODE_TYPES

_APPLICATIONS = ("Hadoop", "Spark", "Livy", "Hive", "JupyterEnterpriseGateway", "Zeppelin")

# AWS's defaults, by service: code, name, value. https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
_QUOTAS = {
    "ec2": [("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 1152.0)],
    "redshift": [("L-2E428669", "Nodes", 200.0)],
}
# On since 2019 for every new account, with the port that EMR excepts:
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-block-public-access.html
_BLOCK_PUBLIC_ACCESS = {
    "BlockPublicSecurityGroupRules": True,
    "PermittedPublicSecurityGroupRuleRanges": [{"MinRange": 22, "MaxRange": 22}],
}


def install() -> None:
    """Patch moto: the calls that it lacks are answered."""
    RedshiftResponse.describe_orderable_cluster_options = _describe_orderable_cluster_options
    ElasticMapReduceResponse.describe_release_label = _describe_release_label
    ServiceQuotasResponse.list_service_quotas = _list_service_quotas
    _install_public_access()
    _install_quotas()


def _describe_orderable_cluster_options(self: RedshiftResponse) -> ActionResult:
    wanted = self._get_param("NodeType")
    zones = [
        zone.name for zone in ec2_backends[self.current_account][self.region].describe_availability_zones()
    ]
    options = [
        {
            "ClusterVersion": "1.0",
            "ClusterType": kind,
            "NodeType": node,
            "AvailabilityZones": [{"Name": name} for name in zones],
        }
        for node, (single, _) in NODE_TYPES.items()
        if wanted in (None, node)
        for kind in (["single-node"] if single else []) + ["multi-node"]
    ]
    return ActionResult({"OrderableClusterOptions": options})


def _describe_release_label(self: ElasticMapReduceResponse) -> ActionResult:
    label = json.loads(self.body).get("ReleaseLabel")
    if label not in self.backend.list_release_labels():
        raise InvalidRequestException(f"Release label {label} is invalid")
    return ActionResult(
        {"ReleaseLabel": label, "Applications": [{"Name": name, "Version": "0"} for name in _APPLICATIONS]}
    )


# Taken once: whoever installs again must not wrap what was installed before.
_moto_public_access = ElasticMapReduceBackend.get_block_public_access_configuration
_moto_quota = ServiceQuotasBackend.get_service_quota


def _install_public_access() -> None:
    def get(self: ElasticMapReduceBackend) -> dict[str, Any]:
        return _moto_public_access(self) or {"block_public_access_configuration": _BLOCK_PUBLIC_ACCESS}

    ElasticMapReduceBackend.get_block_public_access_configuration = get


def _quotas(service: str) -> list[dict[str, Any]]:
    return [
        {"ServiceCode": service, "QuotaCode": code, "QuotaName": name, "Value": value}
        for code, name, value in _QUOTAS.get(service, ())
    ]


def _list_service_quotas(self: ServiceQuotasResponse) -> str:
    return json.dumps({"Quotas": _quotas(json.loads(self.body)["ServiceCode"])})


def _install_quotas() -> None:
    def get(self: ServiceQuotasBackend, service_code: str, quota_code: str) -> dict[str, Any]:
        for quota in _quotas(service_code):
            if quota["QuotaCode"] == quota_code:
                return quota
        found: dict[str, Any] = _moto_quota(self, service_code, quota_code)
        return found

    ServiceQuotasBackend.get_service_quota = get
