"""The lifecycle of an EMR cluster in the sandbox, and the requests that EMR refuses."""

import os
import urllib.request
from types import SimpleNamespace

import psutil
import pytest
from aws_fakes import MANAGED_TAG, V2_POLICY, policy, shared_aws, trust, until
from botocore.exceptions import ClientError

from sandbox.aws.context import AddressPool, Config, Context
from sandbox.aws.emr import Life, LivySettings

pytestmark = pytest.mark.sandbox

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")


@pytest.fixture(scope="module")
def aws():
    return shared_aws()


@pytest.fixture(scope="module")
def emr(aws):
    return aws.client("emr")


@pytest.fixture(scope="module")
def ec2(aws):
    return aws.client("ec2")


@pytest.fixture(scope="module")
def roles(aws):
    """Valid and invalid service roles, and instance profiles with which Livy starts and fails to start."""
    iam = aws.client("iam")
    for name in ("ec2role", "broken"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    for name in ("service", "passes-nothing"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("elasticmapreduce.amazonaws.com"))
        iam.attach_role_policy(RoleName=name, PolicyArn=V2_POLICY)
    iam.create_role(RoleName="not-trusted", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    condition = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    passing = policy("Allow", "iam:PassRole", "arn:aws:iam::*:role/*", condition)
    for name in ("service", "not-trusted"):
        iam.put_role_policy(RoleName=name, PolicyName="pass", PolicyDocument=passing)


@pytest.fixture(scope="module")
def subnet(ec2):
    return ec2.describe_subnets()["Subnets"][0]


@pytest.fixture
def groups(ec2, subnet, request):
    made = [
        ec2.create_security_group(
            GroupName=f"{abs(hash(request.node.name))}-{part}",
            Description=part,
            VpcId=subnet["VpcId"],
            TagSpecifications=[{"ResourceType": "security-group", "Tags": [MANAGED_TAG]}],
        )["GroupId"]
        for part in ("master", "core")
    ]
    return tuple(made)


@pytest.fixture
def wanted(roles, groups, subnet):
    """A RunJobFlow request that EMR accepts."""
    return {
        "Name": "cluster",
        "ReleaseLabel": "emr-7.13.0",
        "ServiceRole": "service",
        "JobFlowRole": "ec2role",
        "Tags": [MANAGED_TAG, {"Key": "k", "Value": "v"}],
        "Applications": [{"Name": "Spark"}, {"Name": "Livy"}],
        "AutoTerminationPolicy": {"IdleTimeout": 600},
        "Instances": {
            "Ec2SubnetId": subnet["SubnetId"],
            "EmrManagedMasterSecurityGroup": groups[0],
            "EmrManagedSlaveSecurityGroup": groups[1],
            "KeepJobFlowAliveWhenNoSteps": True,
            "InstanceGroups": [
                {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1},
                {"InstanceRole": "CORE", "InstanceType": "m5.xlarge", "InstanceCount": 2},
            ],
        },
    }


def _run(emr, request, *states):
    """The cluster's id, and its (state, host) values until one of `states`."""
    cluster_id = emr.run_job_flow(**request)["JobFlowId"]
    return cluster_id, _follow(emr, cluster_id, *states)


def _follow(emr, cluster_id, *states):
    def probe():
        cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
        return cluster["Status"]["State"], cluster.get("MasterPublicDnsName")

    return until(probe, lambda value: value[0] in states)


def _reason(emr, cluster_id):
    return emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["StateChangeReason"]


def _livy_processes(host):
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if host in (process.info["cmdline"] or []) and "sandbox.processes" not in process.info["cmdline"]
    ]


def _livy_answers(host):
    try:
        with urllib.request.urlopen(f"http://{host}:8998/sessions") as answer:
            return answer.status == 200
    except OSError:
        return False


def test_a_cluster_starts_and_terminates(aws, emr, ec2, wanted, groups):
    cluster_id, seen = _run(emr, wanted, "WAITING")
    assert [state for state, _ in seen] == ["STARTING", "BOOTSTRAPPING", "WAITING"]
    assert seen[0][1] is None, "the master has no name while it starts"
    host = seen[-1][1]
    assert host.startswith(f"127.{aws.net}.2.")
    assert _livy_answers(host)

    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    assert {tag["Key"]: tag["Value"] for tag in cluster["Tags"]}["k"] == "v"
    instances = [one["Ec2InstanceId"] for one in emr.list_instances(ClusterId=cluster_id)["Instances"]]
    assert len(instances) == 3
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=groups[0])

    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    states = [state for state, _ in _follow(emr, cluster_id, "TERMINATED")]
    assert states in (["TERMINATING", "TERMINATED"], ["TERMINATED"])
    assert _reason(emr, cluster_id) == {"Code": "USER_REQUEST", "Message": "Terminated by user request"}
    assert _livy_processes(host) == []
    reservations = ec2.describe_instances(InstanceIds=instances)["Reservations"]
    assert {one["State"]["Name"] for found in reservations for one in found["Instances"]} == {"terminated"}
    assert cluster_id in [c["Id"] for c in emr.list_clusters(ClusterStates=["TERMINATED"])["Clusters"]]


def test_a_second_termination_changes_nothing(emr, wanted):
    cluster_id, _ = _run(emr, wanted, "WAITING")
    for _ in range(2):
        emr.terminate_job_flows(JobFlowIds=[cluster_id])
    _follow(emr, cluster_id, "TERMINATED")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert _follow(emr, cluster_id, *ENDED)[-1][0] == "TERMINATED"


def test_a_cluster_can_be_terminated_while_it_starts(emr, wanted):
    cluster_id = emr.run_job_flow(**wanted)["JobFlowId"]
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    states = [state for state, _ in _follow(emr, cluster_id, *ENDED)]
    assert states[-1] == "TERMINATED"
    assert "WAITING" not in states


def test_a_protected_cluster_is_not_terminated(emr, wanted):
    wanted["Instances"]["TerminationProtected"] = True
    cluster_id, _ = _run(emr, wanted, "WAITING")
    with pytest.raises(ClientError, match="termination protected"):
        emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert _follow(emr, cluster_id, "WAITING")[-1][0] == "WAITING"
    emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    _follow(emr, cluster_id, "TERMINATED")


def test_a_cluster_without_steps_that_is_not_kept_alive_terminates_itself(emr, wanted):
    wanted["Instances"]["KeepJobFlowAliveWhenNoSteps"] = False
    cluster_id, _ = _run(emr, wanted, *ENDED)
    assert _reason(emr, cluster_id)["Code"] == "ALL_STEPS_COMPLETED"


def test_if_livy_dies_the_cluster_stays_waiting_and_livy_is_restarted(emr, wanted):
    cluster_id, seen = _run(emr, wanted, "WAITING")
    host = seen[-1][1]
    for _ in range(2):
        killed = set(_livy_processes(host))
        for pid in killed:
            os.kill(pid, 9)
        until(lambda: set(_livy_processes(host)), lambda pids, killed=killed: pids and not pids & killed)
        assert _follow(emr, cluster_id, "WAITING")[-1] == ("WAITING", host)
        until(lambda: _livy_answers(host), bool)
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    _follow(emr, cluster_id, "TERMINATED")
    assert _livy_processes(host) == []


def test_if_livy_cannot_start_the_bootstrap_fails_with_the_reason(emr, wanted):
    cluster_id, seen = _run(emr, {**wanted, "JobFlowRole": "broken"}, *ENDED)
    assert seen[-1][0] == "TERMINATED_WITH_ERRORS"
    reason = _reason(emr, cluster_id)
    assert reason["Code"] == "BOOTSTRAP_FAILURE"
    assert "there is no Java" in reason["Message"]


def test_the_next_cluster_fails_with_an_injected_reason(aws, emr, wanted):
    order = {"reason": "no capacity left", "code": "INSTANCE_FAILURE"}
    assert aws.ask("POST", "emr/next/fail", order)[0] == 200
    cluster_id, seen = _run(emr, wanted, *ENDED)
    assert [state for state, _ in seen][-1] == "TERMINATED_WITH_ERRORS"
    assert _reason(emr, cluster_id) == {"Code": "INSTANCE_FAILURE", "Message": "no capacity left"}
    cluster_id, _ = _run(emr, wanted, "WAITING")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])


def test_a_running_cluster_fails_with_an_injected_reason(aws, emr, wanted):
    cluster_id, _ = _run(emr, {**wanted, "Name": "victim"}, "WAITING")
    assert aws.ask("POST", "emr/victim/fail", {"reason": "the master died"})[0] == 200
    _follow(emr, cluster_id, "TERMINATED_WITH_ERRORS")
    assert _reason(emr, cluster_id)["Message"] == "the master died"
    assert aws.ask("POST", "emr/victim/fail", {"reason": "again"})[0] == 404


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ReleaseLabel": "emr-7.99.0"}, "release label is invalid: emr-7.99.0"),
        ({"ReleaseLabel": "spark-3"}, "release label is invalid"),
        ({"JobFlowRole": "nobody"}, "Invalid InstanceProfile: nobody"),
        ({"ServiceRole": "nobody"}, "EMR service role nobody is invalid"),
        ({"AutoTerminationPolicy": {"IdleTimeout": 5}}, "IdleTimeout"),
    ],
)
def test_run_job_flow_refuses_invalid_requests(emr, wanted, change, message):
    with pytest.raises(ClientError, match=message) as refused:
        emr.run_job_flow(**{**wanted, **change})
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_block_public_access_refuses_a_group_open_to_the_world(emr, ec2, wanted, groups):
    def allow(port):
        ec2.authorize_security_group_ingress(
            GroupId=groups[0], IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0"
        )

    allow(22)
    cluster_id, _ = _run(emr, wanted, "WAITING")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    allow(8998)
    with pytest.raises(ClientError, match=f"{groups[0]}.*8998"):
        emr.run_job_flow(**wanted)


def _without_cluster_tag(wanted):
    wanted["Tags"] = []


def _with_unknown_group(wanted):
    wanted["Instances"]["EmrManagedMasterSecurityGroup"] = "sg-00000000000000000"


def _with_unknown_subnet(wanted):
    wanted["Instances"]["Ec2SubnetId"] = "subnet-00000000"


def _with_a_role_that_passes_nothing(wanted):
    wanted["ServiceRole"] = "passes-nothing"


def _with_a_role_of_another_service(wanted):
    wanted["ServiceRole"] = "not-trusted"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_cluster_tag, "for-use-with-amazon-emr-managed-policies"),
        (_with_unknown_group, "sg-00000000000000000"),
        (_with_unknown_subnet, "subnet-00000000"),
        (_with_a_role_that_passes_nothing, "insufficient EC2 permissions"),
        (_with_a_role_of_another_service, "cannot be assumed"),
    ],
)
def test_a_cluster_that_emr_cannot_start_ends_with_a_validation_error(emr, wanted, spoil, message):
    spoil(wanted)
    cluster_id, seen = _run(emr, wanted, *ENDED)
    assert [state for state, _ in seen][-1] == "TERMINATED_WITH_ERRORS"
    assert "WAITING" not in [state for state, _ in seen]
    reason = _reason(emr, cluster_id)
    assert reason["Code"] == "VALIDATION_ERROR"
    assert message in reason["Message"]


def test_an_untagged_group_is_not_covered_by_the_managed_policy(emr, ec2, wanted, groups):
    ec2.delete_tags(Resources=[groups[1]], Tags=[MANAGED_TAG])
    cluster_id, _ = _run(emr, wanted, *ENDED)
    assert groups[1] in _reason(emr, cluster_id)["Message"]


def test_policies_that_moto_lacks_are_stored(emr, wanted):
    cluster_id, _ = _run(emr, wanted, "WAITING")
    assert emr.get_auto_termination_policy(ClusterId=cluster_id)["AutoTerminationPolicy"] == {
        "IdleTimeout": 600
    }
    emr.put_auto_termination_policy(ClusterId=cluster_id, AutoTerminationPolicy={"IdleTimeout": 900})
    assert emr.get_auto_termination_policy(ClusterId=cluster_id)["AutoTerminationPolicy"] == {
        "IdleTimeout": 900
    }
    emr.remove_auto_termination_policy(ClusterId=cluster_id)
    assert "AutoTerminationPolicy" not in emr.get_auto_termination_policy(ClusterId=cluster_id)
    assert "ManagedScalingPolicy" not in emr.get_managed_scaling_policy(ClusterId=cluster_id)
    emr.terminate_job_flows(JobFlowIds=[cluster_id])


def test_an_unknown_cluster_is_emrs_own_error(emr):
    with pytest.raises(ClientError, match="not valid") as refused:
        emr.describe_cluster(ClusterId="j-NOSUCH")
    assert refused.value.response["Error"]["Code"] == "InvalidRequestException"
    with pytest.raises(ClientError, match="ValidationException"):
        emr.terminate_job_flows(JobFlowIds=["j-NOSUCH"])


def test_two_clusters_have_two_addresses(emr, wanted):
    first, second = (emr.run_job_flow(**wanted)["JobFlowId"] for _ in range(2))
    hosts = {_follow(emr, cluster_id, "WAITING")[-1][1] for cluster_id in (first, second)}
    assert len(hosts) == 2
    emr.terminate_job_flows(JobFlowIds=[first, second])
    for cluster_id in (first, second):
        _follow(emr, cluster_id, "TERMINATED")


def test_an_invalid_livy_distribution_ends_the_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("SANDBOX_LIVY_HOME", str(tmp_path / "nosuch"))
    context = Context(Config(host="127.0.0.1", port=1, state_dir=tmp_path, emr_delay_s=0.0))
    cluster = SimpleNamespace(
        id="j-1",
        name="cluster",
        state="STARTING",
        release_label="emr-7.13.0",
        steps=[],
        instance_groups=[],
        ec2_instances=[],
        emr_backend=SimpleNamespace(region_name="us-east-1"),
    )
    Life(context, AddressPool(), cluster, LivySettings("role", {})).begin()
    until(lambda: cluster.state, lambda state: state == "TERMINATED_WITH_ERRORS")
    assert cluster.state_change_reason["Code"] == "BOOTSTRAP_FAILURE"
    assert "nosuch" in cluster.state_change_reason["Message"]


def test_while_iam_lags_run_job_flow_refuses_the_roles_first_in_one_way_and_then_in_another(aws, emr, wanted):
    iam = aws.client("iam")
    iam.create_role(RoleName="new", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    iam.create_instance_profile(InstanceProfileName="new")
    iam.add_role_to_instance_profile(InstanceProfileName="new", RoleName="new")
    aws.ask("POST", "delays", {"iam_s": 2.0})
    allowed = {"role": "arn:aws:iam::123456789012:role/new", "action": "s3:GetObject", "resource": "*"}
    assert "too new to be seen" in aws.ask("POST", "authorize", allowed)[1]["reason"]

    def ask():
        try:
            return emr.run_job_flow(**{**wanted, "JobFlowRole": "new"})["JobFlowId"][:2]
        except ClientError as error:
            return error.response["Error"]["Code"]

    try:
        seen = until(ask, lambda answer: answer == "j-")
    finally:
        aws.ask("POST", "delays", {"iam_s": 0.0})
    assert seen == ["ValidationException", "AccessDeniedException", "j-"]
