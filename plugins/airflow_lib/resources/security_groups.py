"""Security groups: EMR's (master, core, service access) and Redshift's.

Nothing is ever opened to everybody: what comes in comes from our own groups, or from the client that the
settings name. EMR may add rules of its own to its groups, so deleting starts by revoking all there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.errors import NotReady, ResourceError
from airflow_lib.naming import TAG_EMR_MANAGED, TAG_ENVIRONMENT, Environment, Names, Slot, is_ours
from airflow_lib.resources.kind import GenerationSpec, Kind
from airflow_lib.resources.owned import Owned, as_tag_list, as_tags, attempt_all, check_ours
from airflow_lib.resources.subnet import SubnetFacts
from airflow_lib.settings import NetworkSettings

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

GROUP = "security group"
# The port of EMR's cluster manager, and the port on which a private subnet's master calls the service:
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-man-sec-groups.html
EMR_MANAGER_PORT = 8443
EMR_SERVICE_PORT = 9443
WAREHOUSE_PORT = 5439

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_NOT_FOUND = frozenset({"InvalidGroup.NotFound"})
# What EC2 says, by InvalidGroup.NotFound, of a group of another VPC: ansible/ansible issue 45782.
_OTHER_NETWORK = "belong to different networks"
_ABSENT = frozenset({*_NOT_FOUND, "InvalidGroupId.Malformed"})
_NO_RULE = frozenset({"InvalidPermission.NotFound"})

CLIENT_HINT = (
    "Name in the Airflow Variable `mayfly` (network.client_security_group_id) a group of the clusters' own VPC, or of "
    "one that is peered with it, of which Airflow's workers and triggerer are members."
)


@dataclass(frozen=True)
class Rule:
    """One thing that may come in: from a group or from a range of addresses, never from everywhere."""

    protocol: str
    from_port: int
    to_port: int
    group_id: str | None = None
    cidr: str | None = None

    def permission(self) -> dict[str, Any]:
        """The rule as EC2 takes it."""
        body: dict[str, Any] = {
            "IpProtocol": self.protocol,
            "FromPort": self.from_port,
            "ToPort": self.to_port,
        }
        if self.group_id is not None:
            body["UserIdGroupPairs"] = [{"GroupId": self.group_id}]
        elif self.cidr is not None and ":" in self.cidr:
            body["Ipv6Ranges"] = [{"CidrIpv6": self.cidr}]
        else:
            body["IpRanges"] = [{"CidrIp": self.cidr}]
        return body


def group_names(names: Names) -> tuple[str, ...]:
    """The names of all groups that a generation can have; the service access group exists in a private subnet only."""
    if names.slot is Slot.EMR:
        return names.master_security_group, names.core_security_group, names.service_security_group
    return (names.security_group,)


def ensure_groups(aws: Aws, spec: GenerationSpec) -> None:
    """The groups of the generation in the subnet's VPC, with their rules.

    Raises ForeignResource where a name is taken; NotReady while EC2 does not see its own writes.
    """
    network = spec.settings.network
    if spec.names.slot is Slot.EMR:
        port = spec.settings.livy.port
        ensure_emr_groups(aws.ec2, spec.names, spec.tags, spec.subnet, network=network, livy_port=port)
    else:
        ensure_warehouse_group(aws.ec2, spec.names, spec.tags, spec.subnet, network=network)


def find_groups(ec2: EC2Client, names: Names, subnet: SubnetFacts) -> dict[str, str]:
    """The ids of the generation's groups in the subnet's VPC, by name. Raises NotReady while one is not listed yet."""
    wanted = set(group_names(names)) - ({names.service_security_group} if subnet.public else set())
    found = {
        group["GroupName"]: group["GroupId"]
        for group in _own_groups(ec2, names.environment)
        if group["GroupName"] in wanted and group["VpcId"] == subnet.vpc_id
    }
    missing = sorted(wanted - found.keys())
    if missing:
        raise NotReady(f"EC2 does not list {GROUP} {', '.join(missing)} yet")
    return found


def ensure_emr_groups(
    ec2: EC2Client,
    names: Names,
    tags: Mapping[str, str],
    subnet: SubnetFacts,
    *,
    network: NetworkSettings,
    livy_port: int,
) -> None:
    """EMR's groups; service access in a private subnet only. Raises as `ensure_groups`.

    They bear EMR's tag too, without which AmazonEMRServicePolicy_v2 may not use them.
    """
    tags = {**tags, TAG_EMR_MANAGED[0]: TAG_EMR_MANAGED[1]}
    master = _ensure_group(ec2, names, names.master_security_group, tags, vpc_id=subnet.vpc_id)
    core = _ensure_group(ec2, names, names.core_security_group, tags, vpc_id=subnet.vpc_id)
    service = None
    if not subnet.public:
        service = _ensure_group(ec2, names, names.service_security_group, tags, vpc_id=subnet.vpc_id)
        _ensure_rules(ec2, service, [_tcp(EMR_SERVICE_PORT, group_id=master)])
    inside = [*_everything_from(master), *_everything_from(core)]
    if service is not None:
        inside.append(_tcp(EMR_MANAGER_PORT, group_id=service))
    client = network.client_security_group_id
    _ensure_rules(ec2, master, [*inside, *_from_client(network, livy_port)], client=client)
    _ensure_rules(ec2, core, inside)


def ensure_warehouse_group(
    ec2: EC2Client, names: Names, tags: Mapping[str, str], subnet: SubnetFacts, *, network: NetworkSettings
) -> None:
    """Redshift's group: the client alone may reach it, on its port alone. Raises as `ensure_groups`."""
    group_id = _ensure_group(ec2, names, names.security_group, tags, vpc_id=subnet.vpc_id)
    _ensure_rules(
        ec2, group_id, _from_client(network, WAREHOUSE_PORT), client=network.client_security_group_id
    )


def delete_groups(ec2: EC2Client, environment: Environment, names: Sequence[str]) -> None:
    """Delete our groups of these names: all their rules first, since groups refer to each other.

    Absent is success, and a group without our tag counts as absent. Raises NotReady while something still uses
    one (an instance that is shutting down, a rule of somebody else's group); TeardownError where something else fails.
    """
    wanted = set(names)
    found = [group for group in _own_groups(ec2, environment) if group["GroupName"] in wanted]
    attempt_all(partial(_revoke_rules, ec2, group) for group in found)
    attempt_all(partial(_delete_group, ec2, group) for group in found)


def list_owned_groups(ec2: EC2Client, environment: Environment) -> list[Owned]:
    """Every group of the environment, of whatever generation and VPC."""
    return [
        Owned(GROUP, group["GroupId"], group["GroupName"], as_tags(group.get("Tags")))
        for group in _own_groups(ec2, environment)
    ]


def _ensure_group(ec2: EC2Client, names: Names, name: str, tags: Mapping[str, str], *, vpc_id: str) -> str:
    with translate_aws_errors(f"create {GROUP} {name}", ignore={"InvalidGroup.Duplicate"}):
        return ec2.create_security_group(
            GroupName=name,
            Description=f"Mayfly {names.environment.name}",
            VpcId=vpc_id,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": as_tag_list(tags)}],
        )["GroupId"]
    with translate_aws_errors(f"read {GROUP} {name}"):
        found = ec2.describe_security_groups(
            Filters=[{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [vpc_id]}]
        )["SecurityGroups"]
    if not found:
        raise NotReady(f"{GROUP} {name} exists, but EC2 does not find it yet")
    check_ours(GROUP, name, as_tags(found[0].get("Tags")), names.environment)
    return found[0]["GroupId"]


def _ensure_rules(
    ec2: EC2Client, group_id: str, wanted: Iterable[Rule], *, client: str | None = None
) -> None:
    """Add the rules that the group lacks. If one was added meanwhile, EC2 refuses the whole call: NotReady.

    Raises ResourceError where it is the `client`'s group that EC2 does not find: that one was there before us.
    """
    with translate_aws_errors(f"read the rules of {GROUP} {group_id}", retry=_NOT_FOUND):
        group = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]
    missing = [rule for rule in wanted if rule not in _rules(group)]
    if not missing:
        return
    try:
        with translate_aws_errors(
            f"add rules to {GROUP} {group_id}", retry={*_NOT_FOUND, "InvalidPermission.Duplicate"}
        ):
            ec2.authorize_security_group_ingress(
                GroupId=group_id,
                IpPermissions=[rule.permission() for rule in missing],  # type: ignore[misc]
            )
    except NotReady as pending:
        if client is not None and (client in pending.message or _OTHER_NETWORK in pending.message):
            raise ResourceError(f"{pending.message} {CLIENT_HINT}") from pending
        raise


def _rules(group: Mapping[str, Any]) -> set[Rule]:
    rules: set[Rule] = set()
    for permission in group.get("IpPermissions", []):
        ports = permission["IpProtocol"], permission.get("FromPort", -1), permission.get("ToPort", -1)
        pairs = permission.get("UserIdGroupPairs", ())  # one of a peered VPC may have no id any more
        rules.update(Rule(*ports, group_id=pair.get("GroupId")) for pair in pairs)
        rules.update(Rule(*ports, cidr=one["CidrIp"]) for one in permission.get("IpRanges", ()))
        rules.update(Rule(*ports, cidr=one["CidrIpv6"]) for one in permission.get("Ipv6Ranges", ()))
    return rules


def _everything_from(group_id: str) -> list[Rule]:
    """The nodes of a cluster talk on ports that Hadoop and Spark choose as they run."""
    return [
        Rule("tcp", 0, 65535, group_id=group_id),
        Rule("udp", 0, 65535, group_id=group_id),
        Rule("icmp", -1, -1, group_id=group_id),
    ]


def _from_client(network: NetworkSettings, port: int) -> list[Rule]:
    rules = []
    if network.client_security_group_id is not None:
        rules.append(_tcp(port, group_id=network.client_security_group_id))
    if network.client_cidr is not None:
        rules.append(Rule("tcp", port, port, cidr=network.client_cidr))
    return rules


def _tcp(port: int, *, group_id: str) -> Rule:
    return Rule("tcp", port, port, group_id=group_id)


def _own_groups(ec2: EC2Client, environment: Environment) -> list[Mapping[str, Any]]:
    with translate_aws_errors("list security groups"):
        pages = ec2.get_paginator("describe_security_groups").paginate(
            Filters=[{"Name": f"tag:{TAG_ENVIRONMENT}", "Values": [environment.name]}]
        )
        groups = [group for page in pages for group in page.get("SecurityGroups", ())]
    return [
        group
        for group in groups
        if is_ours(environment, group.get("GroupName", ""), as_tags(group.get("Tags")))
    ]


def _revoke_rules(ec2: EC2Client, group: Mapping[str, Any]) -> None:
    group_id = group["GroupId"]
    incoming = group.get("IpPermissions", [])
    outgoing = [rule for rule in group.get("IpPermissionsEgress", []) if rule.get("UserIdGroupPairs")]
    with translate_aws_errors(
        f"revoke the rules of {GROUP} {group['GroupName']}", ignore={*_ABSENT, *_NO_RULE}
    ):
        if incoming:
            ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=incoming)
        if outgoing:
            ec2.revoke_security_group_egress(GroupId=group_id, IpPermissions=outgoing)


def _delete_group(ec2: EC2Client, group: Mapping[str, Any]) -> None:
    action = f"delete {GROUP} {group['GroupName']} ({group['GroupId']})"
    with translate_aws_errors(action, ignore=_ABSENT, retry={"DependencyViolation", "InvalidGroup.InUse"}):
        ec2.delete_security_group(GroupId=group["GroupId"])


KIND = Kind(
    title=GROUP,
    names=group_names,
    list_owned=lambda aws, environment: list_owned_groups(aws.ec2, environment),
    ensure=ensure_groups,
    delete=lambda aws, names, *, keep_data: delete_groups(aws.ec2, names.environment, group_names(names)),
)
