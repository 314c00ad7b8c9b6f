"""The sandbox's S3, EC2 and IAM, its faults and its control API, over HTTP."""

import hashlib
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest
from aws_fakes import policy, shared_aws, trust
from botocore.exceptions import ClientError

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def aws():
    return shared_aws()


@pytest.fixture(scope="module")
def s3(aws):
    return aws.client("s3")


@pytest.fixture(scope="module")
def bucket(s3):
    s3.create_bucket(Bucket="bucket")
    return "bucket"


@pytest.fixture
def key():
    return f"folder/{uuid.uuid4().hex}"


@pytest.fixture
def fault(aws):
    """Injects a fault; all are removed afterwards."""

    def post(**rule):
        status, answer = aws.ask("POST", "faults", rule)
        assert status == 200, answer

    yield post
    aws.ask("DELETE", "faults")


def _code(error):
    return error.value.response["Error"]["Code"]


def test_if_none_match_writes_only_a_new_object(s3, bucket, key):
    answer = s3.put_object(Bucket=bucket, Key=key, Body=b"one", IfNoneMatch="*")
    assert answer["ETag"] == f'"{hashlib.md5(b"one").hexdigest()}"'
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key=key, Body=b"two", IfNoneMatch="*")
    assert _code(refused) == "PreconditionFailed"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"one"


def test_if_match_replaces_only_the_object_that_was_read(s3, bucket, key):
    first = s3.put_object(Bucket=bucket, Key=key, Body=b"one")["ETag"]
    s3.put_object(Bucket=bucket, Key=key, Body=b"two", IfMatch=first)
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key=key, Body=b"three", IfMatch=first)
    assert _code(refused) == "PreconditionFailed"
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key=f"{key}-absent", Body=b"x", IfMatch=first)
    assert _code(refused) == "NoSuchKey"


def test_of_many_concurrent_conditional_writes_exactly_one_wins(aws, s3, bucket, key):
    etag = s3.put_object(Bucket=bucket, Key=key, Body=b"0")["ETag"]
    barrier = threading.Barrier(8)
    padding = b"." * (1 << 20)  # so that a write takes long enough for another one to happen during it

    def swap(number):
        barrier.wait()
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % number + padding, IfMatch=etag)
        except ClientError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(swap, range(1, 9)) if number is not None]
    assert len(winners) == 1
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"%d" % winners[0] + padding


def test_an_answer_has_a_date_header(s3, bucket, key):
    headers = s3.put_object(Bucket=bucket, Key=key, Body=b"x")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["date"].endswith("GMT")


@pytest.mark.parametrize(
    ("asked", "got"),
    [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=0-99", b"0123456789")],
)
def test_a_range_of_an_object_can_be_read(s3, bucket, key, asked, got):
    s3.put_object(Bucket=bucket, Key=key, Body=b"0123456789")
    answer = s3.get_object(Bucket=bucket, Key=key, Range=asked)
    assert answer["Body"].read() == got
    assert answer["ContentRange"].endswith("/10")


def test_a_range_beyond_the_end_is_refused(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"0123456789")
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key=key, Range="bytes=10-")
    assert _code(refused) == "InvalidRange"


def test_an_empty_object_can_be_read(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b""


@pytest.mark.parametrize("name", ["a", "a/b", "a/b/", "a//b", "../up", "ü/€ &+=%@", "n" * 300, "d@0/x"])
def test_an_object_with_any_key_is_stored_inside_the_state_directory(aws, s3, bucket, name):
    body = name.encode()
    s3.put_object(Bucket=bucket, Key=f"odd/{name}", Body=body)
    assert s3.get_object(Bucket=bucket, Key=f"odd/{name}")["Body"].read() == body
    found = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="odd/")["Contents"]]
    assert f"odd/{name}" in found
    assert not list((aws.state_dir).glob("up@*"))


def test_a_copy_is_a_hard_link_and_outlives_its_source(aws, s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"shared", Metadata={"who": "me"})
    copy = f"{key}-copy"
    s3.copy_object(Bucket=bucket, Key=copy, CopySource={"Bucket": bucket, "Key": key})
    files = list((aws.state_dir / "s3" / bucket / "folder").glob(f"{key.split('/')[1]}*"))
    assert len(files) == 2
    assert len({path.stat().st_ino for path in files}) == 1
    s3.delete_object(Bucket=bucket, Key=key)
    answer = s3.get_object(Bucket=bucket, Key=copy)
    assert answer["Body"].read() == b"shared"
    assert answer["Metadata"] == {"who": "me"}


def test_a_multipart_upload_becomes_one_object(s3, bucket, key):
    parts = [b"a" * (5 << 20), b"b"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    done = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=part)[
                "ETag"
            ],
        }
        for number, part in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    answer = s3.get_object(Bucket=bucket, Key=key)
    assert answer["Body"].read() == b"".join(parts)
    joined = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    assert answer["ETag"] == f'"{joined}-2"'


def test_a_referenced_security_group_cannot_be_deleted_until_the_rule_is_revoked(aws):
    ec2 = aws.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "team", "Value": "sg-test"}]}]
    first, second = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc, TagSpecifications=tags)[
            "GroupId"
        ]
        for name in ("first", "second")
    )
    rule = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": first}]}]
    ec2.authorize_security_group_ingress(GroupId=second, IpPermissions=rule)
    found = ec2.describe_security_groups(Filters=[{"Name": "tag:team", "Values": ["sg-test"]}])
    assert {group["GroupId"] for group in found["SecurityGroups"]} == {first, second}
    with pytest.raises(ClientError) as refused:
        ec2.delete_security_group(GroupId=first)
    assert _code(refused) == "DependencyViolation"
    ec2.revoke_security_group_ingress(GroupId=second, IpPermissions=rule)
    for group in (first, second):
        ec2.delete_security_group(GroupId=group)


def test_the_default_network_is_public_and_tagged(aws):
    ec2 = aws.client("ec2")
    routes = ec2.describe_route_tables(Filters=[{"Name": "association.main", "Values": ["true"]}])
    gateways = [route.get("GatewayId", "") for table in routes["RouteTables"] for route in table["Routes"]]
    assert any(gateway.startswith("igw-") for gateway in gateways)
    for subnet in ec2.describe_subnets()["Subnets"]:
        tags = {tag["Key"]: tag["Value"] for tag in subnet["Tags"]}
        assert tags["for-use-with-amazon-emr-managed-policies"] == "true"


@pytest.fixture(scope="module")
def reader(aws):
    """A role that may read one prefix, except for one folder in it."""
    iam = aws.client("iam")
    arn = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust("redshift.amazonaws.com"))[
        "Role"
    ]["Arn"]
    documents = {
        "read": policy("Allow", ["s3:GetObject"], "arn:aws:s3:::b/in/*"),
        "hide": policy("Deny", "s3:*", "arn:aws:s3:::b/in/secret/*"),
        "list": policy("Allow", "s3:ListBucket", "arn:aws:s3:::b", {"StringLike": {"s3:prefix": ["in/*"]}}),
        "list-if-exists": policy(
            "Allow", "s3:ListBucket", "arn:aws:s3:::c", {"StringLikeIfExists": {"s3:prefix": ["in/*"]}}
        ),
    }
    for name, document in documents.items():
        iam.put_role_policy(RoleName="reader", PolicyName=name, PolicyDocument=document)
    return arn


@pytest.mark.parametrize(
    ("action", "resource", "context", "allowed"),
    [
        ("s3:GetObject", "b/in/x", None, True),
        ("s3:GetObject", "b/out/x", None, False),
        ("s3:GetObject", "b/in/secret/x", None, False),
        ("s3:PutObject", "b/in/x", None, False),
        ("s3:ListBucket", "b", {"s3:prefix": "in/x"}, True),
        ("s3:ListBucket", "b", {"s3:prefix": "out/x"}, False),
        ("s3:ListBucket", "c", {"s3:prefix": "out/x"}, False),
        ("s3:ListBucket", "c", None, True),
    ],
)
def test_a_roles_policies_decide_what_it_may_do(aws, reader, action, resource, context, allowed):
    question = {"role": reader, "action": action, "resource": f"arn:aws:s3:::{resource}"}
    status, verdict = aws.ask("POST", "authorize", {**question, **({"context": context} if context else {})})
    assert status == 200
    assert verdict["allowed"] is allowed
    assert verdict["reason"]


def test_a_role_that_does_not_exist_may_do_nothing(aws):
    question = {"role": "arn:aws:iam::123456789012:role/ghost", "action": "s3:GetObject", "resource": "*"}
    assert aws.ask("POST", "authorize", question)[1]["allowed"] is False


def test_every_call_is_logged_with_its_caller_and_status(aws, bucket, key):
    start = aws.ask("GET", "calls?since=999999999")[1]["next"]
    aws.client("s3", key="AKIACALLER").put_object(Bucket=bucket, Key=key, Body=b"x")
    with pytest.raises(ClientError):
        aws.client("iam", key="AKIACALLER").get_role(RoleName="ghost")
    answer = aws.ask("GET", f"calls?since={start}")[1]
    logged = [(call["service"], call["action"], call["caller"], call["status"]) for call in answer["calls"]]
    assert logged == [("s3", "PutObject", "AKIACALLER", 200), ("iam", "GetRole", "AKIACALLER", 404)]
    assert answer["next"] == start + 2


def test_after_error_before_nothing_was_done(aws, fault):
    fault(service="iam", action="CreateRole", kind="error_before", code="ServiceFailure", status=500)
    iam = aws.client("iam")
    with pytest.raises(ClientError, match="ServiceFailure"):
        iam.create_role(RoleName="before", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_role(RoleName="before")


def test_after_error_after_the_call_was_done(aws, fault):
    fault(service="iam", action="CreateRole", kind="error_after")
    iam = aws.client("iam")
    with pytest.raises(ClientError, match="InternalFailure"):
        iam.create_role(RoleName="after", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    assert iam.get_role(RoleName="after")["Role"]["RoleName"] == "after"


def test_a_throttle_is_retried_by_the_client(aws, fault):
    fault(service="ec2", action="DescribeVpcs", kind="throttle", times=1)
    answer = aws.client("ec2", attempts=3).describe_vpcs()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1


@pytest.mark.parametrize("service", ["emr", "redshift", "ec2", "iam", "s3"])
def test_a_denial_without_times_lasts_until_it_is_removed(aws, fault, service):
    call = {
        "emr": "list_clusters",
        "redshift": "describe_clusters",
        "ec2": "describe_vpcs",
        "iam": "list_roles",
        "s3": "list_buckets",
    }[service]
    fault(service="*", action="*", kind="access_denied", times=None)
    for _ in range(2):
        with pytest.raises(ClientError, match="Denied|Unauthorized"):
            getattr(aws.client(service), call)()
    aws.ask("DELETE", "faults")
    getattr(aws.client(service), call)()


@pytest.mark.parametrize("done", [False, True])
def test_after_a_timeout_the_call_was_done_or_not_as_the_fault_says(aws, fault, done):
    name = f"timeout-{done}"
    fault(service="iam", action="CreateRole", kind="timeout", after=done)
    iam = aws.client("iam")
    with pytest.raises(botocore.exceptions.HTTPClientError):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    roles = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    assert (name in roles) is done


def test_a_delayed_call_is_done(aws, fault):
    fault(service="iam", action="CreateRole", kind="delay", delay_s=0.2)
    before = time.monotonic()
    aws.client("iam").create_role(RoleName="late", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    assert time.monotonic() - before >= 0.2


def test_an_invalid_fault_is_refused_with_the_reason(aws):
    status, answer = aws.ask("POST", "faults", {"service": "s3", "action": "*", "kind": "explode"})
    assert status == 400
    assert "explode" in answer["error"]


def test_an_unknown_control_path_is_404(aws):
    assert aws.ask("GET", "nosuch")[0] == 404


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("emr", "list_studios"),
        ("resourcegroupstaggingapi", "get_resources"),
        ("redshift", "describe_storage"),
    ],
)
def test_an_action_that_the_sandbox_lacks_is_an_error_that_clients_can_parse(aws, service, call):
    with pytest.raises(ClientError, match="not available in the sandbox") as refused:
        getattr(aws.client(service), call)()
    assert _code(refused) == "InvalidAction"
