"""The lifecycle of a warehouse in the sandbox, its data, and the requests that Redshift refuses."""

import json
import socket

import pytest
from aws_fakes import AwsProcess, shared_aws, trust, until
from botocore.exceptions import ClientError

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def aws():
    return shared_aws()


@pytest.fixture(scope="module")
def redshift(aws):
    return aws.client("redshift")


@pytest.fixture(scope="module")
def role(aws):
    iam = aws.client("iam")
    return iam.create_role(RoleName="copy", AssumeRolePolicyDocument=trust("redshift.amazonaws.com"))["Role"][
        "Arn"
    ]


def _request(name, **more):
    return {
        "ClusterIdentifier": name,
        "NodeType": "ra3.large",
        "ClusterType": "single-node",
        "MasterUsername": "admin",
        "MasterUserPassword": "Passw0rd",
        "DBName": "mayfly",
        **more,
    }


def _follow(redshift, name, wanted):
    def probe():
        try:
            cluster = redshift.describe_clusters(ClusterIdentifier=name)["Clusters"][0]
        except redshift.exceptions.ClusterNotFoundFault:
            return "gone", None
        return cluster["ClusterStatus"], cluster.get("Endpoint", {}).get("Address")

    return until(probe, lambda value: value[0] == wanted)


def _snapshot_state(redshift, name):
    return redshift.describe_cluster_snapshots(SnapshotIdentifier=name)["Snapshots"][0]["Status"]


def _send(host, line):
    """The answer of the fake warehouse."""
    with socket.create_connection((host, 5439), timeout=10) as connection:
        connection.sendall(f"{line}\n".encode())
        answer = b""
        while chunk := connection.recv(1000):
            answer += chunk
    return answer.decode()


def _delete(redshift, name, final=None):
    choice = {"FinalClusterSnapshotIdentifier": final} if final else {"SkipFinalClusterSnapshot": True}
    redshift.delete_cluster(ClusterIdentifier=name, **choice)
    return _follow(redshift, name, "gone")


@pytest.fixture(scope="module")
def warehouse(redshift):
    """The host of a warehouse that exists for the whole module."""
    redshift.create_cluster(**_request("lasting"))
    host = _follow(redshift, "lasting", "available")[-1][1]
    yield host
    _delete(redshift, "lasting")


def test_a_warehouses_data_is_kept_in_its_final_snapshot(aws, redshift, role):
    before = aws.ask("GET", "delays")[1]
    aws.ask(
        "POST", "delays", {"redshift_s": 5.0}
    )  # so that it is still creating, however slow this machine is
    answer = redshift.create_cluster(**_request("w1", IamRoles=[role], Tags=[{"Key": "k", "Value": "v"}]))
    assert answer["Cluster"]["ClusterStatus"] == "creating"
    for refused in (
        lambda: redshift.delete_cluster(ClusterIdentifier="w1", SkipFinalClusterSnapshot=True),
        lambda: redshift.modify_cluster(ClusterIdentifier="w1", NumberOfNodes=2),
        lambda: redshift.pause_cluster(ClusterIdentifier="w1"),
    ):
        with pytest.raises(ClientError, match="InvalidClusterState"):
            refused()
    aws.ask("POST", "delays", before)
    seen = _follow(redshift, "w1", "available")
    assert seen[0] == ("creating", None), "it has no endpoint before it is available"
    host = seen[-1][1]
    assert host.startswith(f"127.{aws.net}.1.")
    assert redshift.describe_clusters(ClusterIdentifier="w1")["Clusters"][0]["Encrypted"] is True
    assert aws.ask("GET", "redshift/w1/roles") == (200, {"roles": [role]})
    _send(host, "put one")

    redshift.delete_cluster(ClusterIdentifier="w1", FinalClusterSnapshotIdentifier="w1-final")
    with pytest.raises(ClientError, match="InvalidClusterState"):
        redshift.delete_cluster(ClusterIdentifier="w1", SkipFinalClusterSnapshot=True)
    states = [state for state, _ in _follow(redshift, "w1", "gone")]
    assert states == ["final-snapshot", "deleting", "gone"]
    assert _snapshot_state(redshift, "w1-final") == "available"
    with pytest.raises(OSError, match="refused"):
        _send(host, "all")

    restore = {"ClusterIdentifier": "w2", "SnapshotIdentifier": "w1-final"}
    with pytest.raises(ClientError, match="AccessDenied"):
        redshift.restore_from_cluster_snapshot(**restore)
    with pytest.raises(ClientError, match="ClusterSnapshotNotFound"):
        redshift.restore_from_cluster_snapshot(**restore, SnapshotClusterIdentifier="another")
    redshift.restore_from_cluster_snapshot(**restore, SnapshotClusterIdentifier="w1")
    with pytest.raises(ClientError, match="InvalidClusterSnapshotState"):
        redshift.delete_cluster_snapshot(SnapshotIdentifier="w1-final")
    second = _follow(redshift, "w2", "available")[-1][1]
    assert second != host, "an address is not reused immediately"
    assert _send(second, "all") == "one"
    restored = redshift.describe_clusters(ClusterIdentifier="w2")["Clusters"][0]
    assert (restored["DBName"], restored["MasterUsername"], restored["NodeType"]) == (
        "mayfly",
        "admin",
        "ra3.large",
    )
    _send(second, "put two")
    _delete(redshift, "w2")
    redshift.delete_cluster_snapshot(SnapshotIdentifier="w1-final")
    with pytest.raises(ClientError, match="ClusterSnapshotNotFound"):
        _snapshot_state(redshift, "w1-final")
    assert not (aws.state_dir / "snapshots" / "w1-final").exists()


def test_a_manual_snapshot_holds_the_data_of_its_time(redshift, warehouse):
    _send(warehouse, "put before")
    redshift.create_cluster_snapshot(ClusterIdentifier="lasting", SnapshotIdentifier="manual")
    assert (
        until(lambda: _snapshot_state(redshift, "manual"), lambda state: state == "available")[0]
        == "creating"
    )
    _send(warehouse, "put after")
    redshift.restore_from_cluster_snapshot(
        ClusterIdentifier="copy", SnapshotIdentifier="manual", SnapshotClusterIdentifier="lasting"
    )
    copy = _follow(redshift, "copy", "available")[-1][1]
    assert _send(copy, "all") == "before"
    assert _send(warehouse, "all") == "before after"
    _delete(redshift, "copy")
    redshift.delete_cluster_snapshot(SnapshotIdentifier="manual")


def test_a_paused_warehouse_has_no_endpoint_and_resumes_with_its_data(redshift):
    redshift.create_cluster(**_request("napping"))
    host = _follow(redshift, "napping", "available")[-1][1]
    _send(host, "put dream")
    redshift.pause_cluster(ClusterIdentifier="napping")
    assert _follow(redshift, "napping", "paused")[-1] == ("paused", None)
    redshift.resume_cluster(ClusterIdentifier="napping")
    assert _send(_follow(redshift, "napping", "available")[-1][1], "all") == "dream"
    _delete(redshift, "napping")


def test_a_warehouse_that_cannot_start_fails_and_can_be_deleted(redshift):
    redshift.create_cluster(**_request("broken", DBName="broken"))
    assert _follow(redshift, "broken", "hardware-failure")[-1][1] is None
    _delete(redshift, "broken")


def test_temporary_passwords_are_available_until_they_expire(aws, redshift, warehouse):
    given = redshift.get_cluster_credentials(ClusterIdentifier="lasting", DbUser="admin", DbName="mayfly")
    assert given["DbUser"] == "IAM:admin"
    more = redshift.get_cluster_credentials(ClusterIdentifier="lasting", DbUser="admin")
    status, known = aws.ask("GET", "redshift/lasting/credentials/IAM:admin")
    assert status == 200
    assert known["passwords"] == [more["DbPassword"], given["DbPassword"]]
    assert aws.ask("GET", "redshift/lasting/credentials/IAM%3Aadmin") == (status, known)
    assert aws.ask("GET", "redshift/lasting/credentials/IAM:nobody")[0] == 404
    with pytest.raises(ClientError, match="ClusterNotFound"):
        redshift.get_cluster_credentials(ClusterIdentifier="nosuch", DbUser="admin")


def test_roles_are_attached_and_detached(aws, redshift, role, warehouse):
    redshift.modify_cluster_iam_roles(ClusterIdentifier="lasting", AddIamRoles=[role])
    assert aws.ask("GET", "redshift/lasting/roles") == (200, {"roles": [role]})
    redshift.modify_cluster_iam_roles(ClusterIdentifier="lasting", RemoveIamRoles=[role])
    assert aws.ask("GET", "redshift/lasting/roles") == (200, {"roles": []})
    assert aws.ask("GET", "redshift/nosuch/roles")[0] == 404


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"ClusterIdentifier": "lasting"}, "ClusterAlreadyExists", "exists"),
        ({"ClusterIdentifier": "Bad_Name"}, "InvalidParameterValue", "Bad_Name"),
        ({"NodeType": "dc2.large"}, "InvalidParameterValue", "Invalid node type: dc2.large"),
        ({"NodeType": "ra3.4xlarge"}, "InvalidParameterValue", "ra3.4xlarge"),
        ({"ClusterType": "multi-node"}, "InvalidParameterCombination", "at least|greater than"),
        ({"ClusterType": "multi-node", "NumberOfNodes": 99}, "InvalidParameterValue", "at most 16"),
        ({"ClusterType": "single-node", "NumberOfNodes": 2}, "InvalidParameterCombination", "single-node"),
        ({"MasterUserPassword": "weak"}, "InvalidParameterValue", "MasterUserPassword"),
        ({"MasterUserPassword": "alllowercase1"}, "InvalidParameterValue", "upper case"),
        ({"MasterUserPassword": "Has a space1"}, "InvalidParameterValue", "space"),
        ({"MasterUsername": "Admin"}, "InvalidParameterValue", "MasterUsername"),
        ({"DBName": "No-Such"}, "InvalidParameterValue", "database name"),
        ({"IamRoles": ["arn:aws:iam::123456789012:role/nobody"]}, "InvalidParameterValue", "role/nobody"),
        ({"VpcSecurityGroupIds": ["sg-00000000000000000"]}, "InvalidParameterValue", "sg-0000"),
        ({"ClusterSubnetGroupName": "nosuch"}, "ClusterSubnetGroupNotFoundFault", "nosuch"),
    ],
)
def test_create_cluster_refuses_invalid_requests(redshift, warehouse, change, code, message):
    with pytest.raises(ClientError, match=message) as refused:
        redshift.create_cluster(**{**_request("refused"), **change})
    assert refused.value.response["Error"]["Code"] == code


def test_the_final_snapshots_name_must_be_given_and_new(redshift, warehouse):
    redshift.create_cluster_snapshot(ClusterIdentifier="lasting", SnapshotIdentifier="taken")
    until(lambda: _snapshot_state(redshift, "taken"), lambda state: state == "available")
    with pytest.raises(ClientError, match="ClusterSnapshotAlreadyExists"):
        redshift.delete_cluster(ClusterIdentifier="lasting", FinalClusterSnapshotIdentifier="taken")
    with pytest.raises(ClientError, match="InvalidParameterCombination"):
        redshift.delete_cluster(ClusterIdentifier="lasting")
    assert _follow(redshift, "lasting", "available")[-1][0] == "available"
    redshift.delete_cluster_snapshot(SnapshotIdentifier="taken")


def test_a_subnet_group_in_use_cannot_be_deleted(aws, redshift):
    subnet = aws.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    group = {"ClusterSubnetGroupName": "group", "Description": "d", "SubnetIds": [subnet]}
    redshift.create_cluster_subnet_group(**group)
    with pytest.raises(ClientError, match="ClusterSubnetGroupAlreadyExists"):
        redshift.create_cluster_subnet_group(**group)
    redshift.create_cluster(**_request("housed", ClusterSubnetGroupName="group"))
    with pytest.raises(ClientError, match="housed"):
        redshift.delete_cluster_subnet_group(ClusterSubnetGroupName="group")
    _follow(redshift, "housed", "available")
    _delete(redshift, "housed")
    redshift.delete_cluster_subnet_group(ClusterSubnetGroupName="group")


def test_snapshots_can_be_filtered_by_cluster_type_and_tag(aws, redshift, warehouse):
    redshift.create_cluster_snapshot(
        ClusterIdentifier="lasting", SnapshotIdentifier="tagged", Tags=[{"Key": "team", "Value": "data"}]
    )
    until(lambda: _snapshot_state(redshift, "tagged"), lambda state: state == "available")

    def names(**filters):
        found = redshift.describe_cluster_snapshots(**filters)["Snapshots"]
        return [snapshot["SnapshotIdentifier"] for snapshot in found]

    assert names(ClusterIdentifier="lasting") == ["tagged"]
    assert names(ClusterIdentifier="nosuch") == []
    assert names(SnapshotType="automated") == []
    assert names(TagKeys=["team"]) == ["tagged"]
    assert names(TagKeys=["other"]) == []
    arn = redshift.describe_cluster_snapshots(SnapshotIdentifier="tagged")["Snapshots"][0]["SnapshotArn"]
    redshift.create_tags(ResourceName=arn, Tags=[{"Key": "later", "Value": "x"}])
    record = json.loads((aws.state_dir / "snapshots" / "tagged" / "snapshot.json").read_text())
    assert {"Key": "later", "Value": "x"} in record["tags"]
    redshift.delete_cluster_snapshot(SnapshotIdentifier="tagged")


def test_the_creation_of_a_warehouse_can_be_delayed(tmp_path):
    with AwsProcess(tmp_path / "state") as aws:
        slow = {"redshift_s": 3600.0}
        all_of_them = {"emr_s": 0.3, "iam_s": 0.0, "redshift_refusing_s": 1.5, **slow}
        assert aws.ask("POST", "delays", slow) == (200, all_of_them)
        assert aws.ask("GET", "delays") == (200, all_of_them)
        redshift = aws.client("redshift")
        redshift.create_cluster(**_request("slow"))
        until(lambda: _listens(f"127.{aws.net}.1.1"), bool)  # its process runs, but it is still creating
        assert redshift.describe_clusters()["Clusters"][0]["ClusterStatus"] == "creating"
        assert aws.ask("POST", "delays", {"s3_s": 1})[0] == 400


def test_while_iam_lags_a_warehouse_is_refused_its_role(aws, redshift):
    arn = aws.client("iam").create_role(
        RoleName="new-copy", AssumeRolePolicyDocument=trust("redshift.amazonaws.com")
    )["Role"]["Arn"]
    aws.ask("POST", "delays", {"iam_s": 3600})
    try:
        with pytest.raises(ClientError, match="Cannot assume role"):
            redshift.create_cluster(**_request("lagging", IamRoles=[arn]))
    finally:
        aws.ask("POST", "delays", {"iam_s": 0.0})


def _listens(host):
    with socket.socket() as probe:
        return probe.connect_ex((host, 5439)) == 0
