"""What may be wrong with an account and its settings: each fault as it is planted, and the line that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

from airflow_lib.lifecycle.document import Document, encode_document
from airflow_lib.naming import TAG_EMR_MANAGED

from .account import BUCKET, REGION, ROLE, Account, policy, settings_with

GROUP = "sg-0123456789abcdef0"
Plant = Callable[[Account], None]


def subnet_of(account: Account) -> dict[str, Any]:
    subnets = account.aws.ec2.describe_subnets()["Subnets"]
    return dict(min(subnets, key=lambda one: one["AvailabilityZone"]))


def main_table(account: Account) -> str:
    (table,) = account.aws.ec2.describe_route_tables(
        Filters=[
            {"Name": "vpc-id", "Values": [subnet_of(account)["VpcId"]]},
            {"Name": "association.main", "Values": ["true"]},
        ]
    )["RouteTables"]
    return table["RouteTableId"]


def private(account: Account) -> None:
    """Take the route to the internet gateway away."""
    account.aws.ec2.delete_route(RouteTableId=main_table(account), DestinationCidrBlock="0.0.0.0/0")


def put(account: Account, key: str, body: bytes) -> None:
    account.aws.s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def change(**mayfly: Any) -> Plant:
    """Other settings."""

    def plant(account: Account) -> None:
        account.settings = settings_with(**mayfly)

    return plant


def refuse(operation: str, code: str, message: str = "no", status: int = 400, **headers: str) -> Plant:
    """AWS refuses an operation so."""

    def plant(account: Account) -> None:
        account.refuse(operation, code, message, status, {k.replace("_", "-"): v for k, v in headers.items()})

    return plant


def answer(operation: str, **parsed: Any) -> Plant:
    """AWS answers an operation so."""

    def plant(account: Account) -> None:
        account.answers[operation] = parsed

    return plant


def without_statement(sid: str) -> Plant:
    """The principal lacks what a statement grants."""

    def plant(account: Account) -> None:
        content = json.loads(policy("iam-principal-policy"))
        content["Statement"] = [one for one in content["Statement"] if one["Sid"] != sid]
        account.aws.iam.put_role_policy(
            RoleName=ROLE, PolicyName="iam-principal-policy", PolicyDocument=json.dumps(content)
        )

    return plant


def deny(account: Account) -> None:
    statement = {"Effect": "Deny", "Action": "iam:CreateRole", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    account.aws.iam.put_role_policy(RoleName=ROLE, PolicyName="deny", PolicyDocument=document)


def late_clock(account: Account) -> None:
    account.now = datetime.now(UTC) + timedelta(minutes=10)


def refused_for_its_clock(account: Account) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html"""
    account.refuse("sts.GetCallerIdentity", "SignatureDoesNotMatch", "Signature not yet current", 403)
    late_clock(account)


def versioning(status: str) -> Plant:
    return answer("s3.GetBucketVersioning", **({"Status": status} if status else {}))


def encrypted_by(key: str) -> Plant:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    return answer("s3.GetBucketEncryption", ServerSideEncryptionConfiguration={"Rules": [rule]})


def key_is(state: str) -> Plant:
    def plant(account: Account) -> None:
        encrypted_by("arn:aws:kms:us-east-1:123456789012:key/k1")(account)
        account.answers["kms.DescribeKey"] = {"KeyMetadata": {"KeyState": state, "KeyManager": "CUSTOMER"}}

    return plant


def register(body: bytes) -> Plant:
    def plant(account: Account) -> None:
        put(account, "state/immigration/register.json", body)

    return plant


def lost_snapshot(account: Account) -> None:
    document = json.loads(encode_document(Document("dev-immigration")))
    document["warehouse"]["snapshot"] = "mayfly-dev-immigration-warehouse-g1"
    put(account, "state/immigration/register.json", json.dumps(document).encode())


def malformed_subnet(account: Account) -> None:
    account.settings = settings_with(network={"client_cidr": "10.0.0.0/16", "subnet_id": "vpc-1"})
    account.refuse("ec2.DescribeSubnets", "InvalidSubnetID.Malformed", 'Invalid id: "vpc-1"')


def no_default_subnet(account: Account) -> None:
    for subnet in account.aws.ec2.describe_subnets()["Subnets"]:
        account.aws.ec2.delete_subnet(SubnetId=subnet["SubnetId"])


def no_tag(account: Account) -> None:
    key, value = TAG_EMR_MANAGED
    account.aws.ec2.delete_tags(
        Resources=[subnet_of(account)["SubnetId"]], Tags=[{"Key": key, "Value": value}]
    )


def other_tag(account: Account) -> None:
    account.aws.ec2.create_tags(
        Resources=[subnet_of(account)["SubnetId"]], Tags=[{"Key": TAG_EMR_MANAGED[0], "Value": "True"}]
    )


def no_hostnames(account: Account) -> None:
    account.aws.ec2.modify_vpc_attribute(
        VpcId=subnet_of(account)["VpcId"], EnableDnsHostnames={"Value": False}
    )


def no_dns(account: Account) -> None:
    account.aws.ec2.modify_vpc_attribute(VpcId=subnet_of(account)["VpcId"], EnableDnsSupport={"Value": False})


def no_addresses(account: Account) -> None:
    backend = ec2_backends[DEFAULT_ACCOUNT_ID][REGION]
    backend.get_subnet(subnet_of(account)["SubnetId"])._available_ip_addresses = 2


def no_public_addresses(account: Account) -> None:
    account.aws.ec2.modify_subnet_attribute(
        SubnetId=subnet_of(account)["SubnetId"], MapPublicIpOnLaunch={"Value": False}
    )


def dead_nat(account: Account) -> None:
    """A NAT that was deleted leaves its route behind, as a black hole."""
    account.answers["ec2.DescribeRouteTables"] = {
        "RouteTables": [
            {
                "Routes": [
                    {"DestinationCidrBlock": "172.31.0.0/16", "GatewayId": "local", "State": "active"},
                    {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"},
                ]
            }
        ]
    }


def group_elsewhere(account: Account) -> None:
    vpc = account.aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = account.aws.ec2.create_security_group(GroupName="airflow", Description="d", VpcId=vpc)
    account.settings = settings_with(network={"client_security_group_id": made["GroupId"]})


def options(kind: str, zone: str) -> Plant:
    option = {"NodeType": "ra3.large", "ClusterType": kind, "AvailabilityZones": [{"Name": zone}]}
    return answer("redshift.DescribeOrderableClusterOptions", OrderableClusterOptions=[option])


def quota(value: float, name: str = "Nodes") -> Plant:
    def plant(account: Account) -> None:
        account.answers["service-quotas.GetServiceQuota"] = {"Quota": {"Value": value}}
        account.answers["service-quotas.ListServiceQuotas"] = {
            "Quotas": [{"QuotaName": name, "Value": value}]
        }

    return plant


def summary(**values: int) -> Plant:
    known = {"Roles": 1, "RolesQuota": 1000, "InstanceProfiles": 0, "InstanceProfilesQuota": 1000}
    return answer("iam.GetAccountSummary", SummaryMap=known | values)


# By name: what is planted, and the line that names it, from what is wrong to what to do.
FAULTS: dict[str, tuple[Plant, str]] = {
    "refused credentials": (
        refuse("sts.GetCallerIdentity", "InvalidClientTokenId", status=403),
        r"credentials: .*InvalidClientTokenId.*Renew them",
    ),
    "expired credentials": (
        refuse("sts.GetCallerIdentity", "ExpiredToken", status=403),
        r"credentials: .*in boto3.s own chain.*ExpiredToken.*Renew them",
    ),
    "clock": (late_clock, r"clock: this host is \d+ s ahead of AWS.*Synchronise the clock"),
    "clock that AWS refuses": (refused_for_its_clock, r"clock: this host is \d+ s ahead of AWS.*Synchronise"),
    "missing right": (
        without_statement("MakeTaggedEmrClusters"),
        r"permissions \(MakeTaggedEmrClusters\): elasticmapreduce:RunJobFlow on \* is not allowed.*Grant",
    ),
    "missing right of one resource": (
        without_statement("GiveOurRolesToTheServicesTheyAreFor"),
        r"permissions \(GiveOur\w+\): iam:PassRole on arn:aws:iam::123456789012:role/mayfly-doctor is not.*Grant",
    ),
    "denied right": (
        deny,
        r"permissions \(MakeAndRemoveOurRoles\): iam:CreateRole .* is denied explicitly.*Grant",
    ),
    "absent bucket": (
        change(
            s3={
                **{k: f"s3://{BUCKET}/{k}" for k in ("source", "processed", "published", "state")},
                "logs": "s3://nobody/x",
            }
        ),
        r"bucket nobody \(logs\): does not exist\. Create the bucket, or correct mayfly\.s3",
    ),
    "closed bucket": (
        refuse("s3.ListObjectsV2", "AccessDenied", status=403),
        r"s3\.processed: .*AccessDenied.*Grant the action",
    ),
    "bucket elsewhere": (
        answer("s3.HeadBucket", BucketRegion="eu-west-1"),
        r"bucket lake .*is in eu-west-1.*COPY of Parquet.*mayfly\.s3\.processed",
    ),
    "redirected bucket": (
        refuse("s3.HeadBucket", "301", "Moved Permanently", 301, x_amz_bucket_region="us-west-2"),
        r"bucket lake .*is in us-west-2.*mayfly\.s3\.processed",
    ),
    "bucket in a region to opt into": (
        refuse("s3.HeadBucket", "400", "Bad Request", 400, x_amz_bucket_region="ap-east-1"),
        r"bucket lake .*is in ap-east-1.*mayfly\.s3\.processed",
    ),
    "no versioning": (versioning(""), r"versioning of lake: is off.*Turn versioning on"),
    "suspended versioning": (
        versioning("Suspended"),
        r"versioning of lake: is suspended.*Turn versioning on",
    ),
    "absent key": (
        encrypted_by("arn:aws:kms:us-east-1:123456789012:key/none"),
        r"encryption of lake: its key .*key/none does not exist\. Correct the bucket's default",
    ),
    "disabled key": (key_is("Disabled"), r"encryption of lake: its key .*k1 is Disabled.*Enable the key"),
    "key about to go": (
        key_is("PendingDeletion"),
        r"encryption of lake: .*is PendingDeletion.*Enable the key",
    ),
    "no input": (
        change(
            s3={
                **{k: f"s3://{BUCKET}/{k}" for k in ("processed", "published", "state", "logs")},
                "source": f"s3://{BUCKET}/raw",
            }
        ),
        r"sources: s3://lake/raw holds no input\. Put each pipeline's files",
    ),
    "no input of a pipeline": (
        change(pipelines={"flights": {}}),
        r"source of flights: s3://lake/source/flights is empty\. Put the pipeline's input files there",
    ),
    "absent bucket of a pipeline": (
        change(pipelines={"flights": {"source": "s3://nobody/raw"}}),
        r"source of flights: .*s3://nobody/raw.*Create the bucket",
    ),
    "corrupt register": (
        register(b"{"),
        r"register of dev-immigration: .*is corrupt.*Restore its last good version",
    ),
    "register of others": (
        register(encode_document(Document("prod-immigration"))),
        r"register of dev-immigration: .*is the register of prod-immigration.*Give each its own mayfly\.s3\.state",
    ),
    "lost snapshot": (
        lost_snapshot,
        r"snapshot mayfly-dev-immigration-warehouse-g1: .*does not have it.*Find out who",
    ),
    "absent subnet": (
        change(network={"client_cidr": "10.0.0.0/16", "subnet_id": "subnet-0bad"}),
        r"subnet: Subnet subnet-0bad does not exist.*network\.subnet_id",
    ),
    "malformed subnet": (
        malformed_subnet,
        r"subnet: Subnet vpc-1 does not exist.*network\.subnet_id",
    ),
    "no default subnet": (no_default_subnet, r"subnet: The region has no default subnet: name a subnet"),
    "no tag": (no_tag, r"tag of subnet-\w+: the subnet lacks for-use-with.*Add the tag: aws ec2 create-tags"),
    "tag of another value": (other_tag, r"tag of subnet-\w+: the subnet lacks .*=true.*Add the tag"),
    "no DNS hostnames": (no_hostnames, r"DNS of vpc-\w+: enableDnsHostnames .*--enable-dns-hostnames"),
    "no DNS": (no_dns, r"DNS of vpc-\w+: enableDnsSupport of the VPC is off.*--enable-dns-support"),
    "no addresses": (
        no_addresses,
        r"addresses of subnet-\w+: 2 are free, and the clusters need 3.*larger subnet",
    ),
    "no route": (private, r"route to S3 from subnet-\w+: there is none.*Add a gateway endpoint"),
    "no public addresses": (no_public_addresses, r"route to S3 .*no public address.*Turn on auto-assign"),
    "dead NAT": (dead_nat, r"route to S3 from subnet-\w+: there is none.*Add a gateway endpoint"),
    "malformed group": (
        change(network={"client_security_group_id": "airflow"}),
        r"security group airflow: this is no security group's id.*network\.client_security_group_id",
    ),
    "absent group": (
        change(network={"client_security_group_id": GROUP}),
        rf"security group {GROUP}: does not exist.*network\.client_security_group_id",
    ),
    "group of another VPC": (group_elsewhere, r"security group sg-\w+: is of vpc-\w+.*no rule can name it"),
    "instance type": (
        change(emr={"core_type": "mac1.metal"}),
        r"instance type mac1\.metal: EC2 does not offer it in us-east-1a.*emr\.core_type",
    ),
    "instance type of a pipeline": (
        change(pipelines={"immigration": {"emr": {"master_type": "mac1.metal"}}}),
        r"instance type mac1\.metal: EC2 does not offer it in us-east-1a.*emr\.master_type",
    ),
    "node type": (
        change(warehouse={"node_type": "ra9.large"}),
        r"Redshift node type ra9\.large: Redshift does not offer it.*warehouse\.node_type",
    ),
    "node type for one node": (
        change(warehouse={"node_type": "ra3.4xlarge"}),
        r"Redshift node type ra3\.4xlarge: .*single-node cluster.*warehouse\.nodes",
    ),
    "node type elsewhere": (
        options("single-node", "us-east-1f"),
        r"Redshift node type ra3\.large: Redshift offers it in us-east-1f.*network\.subnet_id",
    ),
    "release": (
        change(emr={"release": "emr-7.99.0"}),
        r"EMR release emr-7\.99\.0: EMR does not have it.*emr\.release",
    ),
    "release without Livy": (
        answer("emr.DescribeReleaseLabel", Applications=[{"Name": "Spark"}]),
        r"EMR release emr-7\.13\.0: it is without Livy\. Name another one",
    ),
    "no policy of EMR": (
        refuse("iam.GetPolicy", "NoSuchEntity", status=404),
        r"EMR's service policy: .*AmazonEMRServicePolicy_v2 does not exist.*partition",
    ),
    "quota of vCPUs": (quota(5), r"quota of EC2 vCPUs .*: 5, and 8 are needed.*Ask for more"),
    "quota of Redshift nodes": (quota(0), r"quota of Redshift nodes: 0, and 1 are needed.*Ask for more"),
    "quota of groups": (quota(4), r"quota of security groups: 4, and 5 are needed.*Ask for more"),
    "quota of roles": (summary(RolesQuota=3), r"quota of IAM roles: 3, and 4 are needed.*Ask for more"),
    "quota of profiles": (
        summary(InstanceProfilesQuota=0),
        r"quota of instance profiles: 0, and 1 are needed.*Ask for more",
    ),
    "absent topic": (
        change(notify={"sns_topic_arn": f"arn:aws:sns:{REGION}:123456789012:gone"}),
        r"topic arn:aws:sns:us-east-1:123456789012:gone: does not exist\. Create it, or correct notify\.sns",
    ),
    "topic elsewhere": (
        change(notify={"sns_topic_arn": "arn:aws:sns:eu-west-1:123456789012:t"}),
        r"topic .*: is in eu-west-1.*notify\.sns_topic_arn",
    ),
    "malformed topic": (
        change(notify={"sns_topic_arn": 'mayfly"'}),
        r'topic mayfly": this is no topic\'s ARN.*notify\.sns_topic_arn',
    ),
}
