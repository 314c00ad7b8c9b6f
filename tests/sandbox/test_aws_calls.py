"""The IAM names of requests, the call log and the faults' rules; no process is started."""

import io

import pytest

from sandbox.aws.calls import Call, CallLog, identify
from sandbox.aws.faults import Fault, Faults
from sandbox.aws.gateway import error_answer


def _environ(service: str, method: str = "POST", path: str = "/", query: str = "", **more: object) -> dict:
    signed = (
        f"AWS4-HMAC-SHA256 Credential=AKIAX/20261121/us-east-1/{service}/aws4_request, SignedHeaders=host"
    )
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_AUTHORIZATION": signed,
        "wsgi.input": io.BytesIO(b""),
        **more,
    }


@pytest.mark.parametrize(
    ("method", "path", "query", "action"),
    [
        ("GET", "/", "", "ListAllMyBuckets"),
        ("HEAD", "/bkt", "", "ListBucket"),
        ("GET", "/bkt", "list-type=2&prefix=a", "ListBucket"),
        ("GET", "/bkt/", "location", "GetBucketLocation"),
        ("PUT", "/bkt", "", "CreateBucket"),
        ("DELETE", "/bkt", "", "DeleteBucket"),
        ("POST", "/bkt", "delete", "DeleteObject"),
        ("GET", "/bkt/a/b", "", "GetObject"),
        ("HEAD", "/bkt/a/b", "", "GetObject"),
        ("PUT", "/bkt/a/b", "", "PutObject"),
        ("PUT", "/bkt/a/b", "partNumber=1&uploadId=x", "PutObject"),
        ("POST", "/bkt/a/b", "uploads", "PutObject"),
        ("GET", "/bkt/a/b", "uploadId=x", "ListMultipartUploadParts"),
        ("DELETE", "/bkt/a/b", "uploadId=x", "AbortMultipartUpload"),
        ("DELETE", "/bkt/a/b", "", "DeleteObject"),
        ("PUT", "/bkt/a/b", "tagging", "PutObjectTagging"),
    ],
)
def test_an_s3_request_is_identified_by_its_iam_name(method, path, query, action):
    call = identify(_environ("s3", method, path, query))
    assert (call.service, call.action, call.caller) == ("s3", action, "AKIAX")


def test_a_json_request_is_identified_by_its_target():
    body = b'{"ClusterId": "j-1"}'
    environ = _environ("elasticmapreduce", HTTP_X_AMZ_TARGET="ElasticMapReduce.DescribeCluster")
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    call = identify(environ)
    assert (call.service, call.action, call.protocol) == ("elasticmapreduce", "DescribeCluster", "json")
    assert environ["wsgi.input"].read() == body, "moto still has to read it"


@pytest.mark.parametrize(("service", "protocol"), [("iam", "query"), ("redshift", "query"), ("ec2", "ec2")])
def test_a_form_request_is_identified_by_its_action(service, protocol):
    body = b"Action=DeleteRole&RoleName=r"
    environ = _environ(service, CONTENT_TYPE="application/x-www-form-urlencoded; charset=utf-8")
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    call = identify(environ)
    assert (call.service, call.action, call.protocol) == (service, "DeleteRole", protocol)
    assert environ["wsgi.input"].read() == body


def test_a_presigned_url_is_identified_by_its_signer():
    environ = _environ(
        "", "GET", "/bkt/a", "X-Amz-Credential=AKIAP%2F20261121%2Fus-east-1%2Fs3%2Faws4_request"
    )
    del environ["HTTP_AUTHORIZATION"]
    assert identify(environ).caller == "AKIAP"


def _call(service: str = "ec2", action: str = "DescribeVpcs", text: str = "") -> Call:
    return Call(service, action, "me", "query", text)


def test_a_fault_ends_after_its_times():
    faults = Faults()
    faults.add(Fault("ec2", "DescribeVpcs", "throttle", times=2))
    assert [faults.take(_call()) is not None for _ in range(3)] == [True, True, False]


def test_a_fault_without_times_never_ends():
    faults = Faults()
    faults.add(Fault("ec2", "*", "access_denied", times=None))
    assert all(faults.take(_call()) for _ in range(50))


def test_a_fault_applies_only_to_calls_that_match():
    faults = Faults()
    faults.add(Fault("iam", "DeleteRole", "error_before", match="RoleName=b"))
    assert faults.take(_call("iam", "DeleteRole", "RoleName=a")) is None
    assert faults.take(_call("redshift", "DeleteRole", "RoleName=b")) is None
    assert faults.take(_call("iam", "DeleteRole", "RoleName=b")) is not None


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"service": "s3", "action": "*", "kind": "explode"}, "explode"),
        ({"service": "s3", "action": "*"}, "kind"),
        ({"service": "s3", "action": "*", "kind": "delay", "seconds": 1}, "seconds"),
    ],
)
def test_an_invalid_fault_is_refused(rule, reason):
    with pytest.raises(ValueError, match=reason):
        Fault.from_json(rule)


@pytest.mark.parametrize(
    ("service", "kind", "error"),
    [
        ("ec2", "throttle", ("RequestLimitExceeded", 503)),
        ("s3", "throttle", ("SlowDown", 503)),
        ("elasticmapreduce", "throttle", ("ThrottlingException", 400)),
        ("redshift", "throttle", ("Throttling", 400)),
        ("ec2", "access_denied", ("UnauthorizedOperation", 403)),
        ("iam", "access_denied", ("AccessDenied", 403)),
        ("iam", "error_before", ("InternalFailure", 500)),
    ],
)
def test_a_fault_has_the_services_own_error(service, kind, error):
    code, _, status = Fault(service, "*", kind).error(_call(service))
    assert (code, status) == error


def test_the_log_returns_the_calls_from_a_number_on():
    log = CallLog()
    for action in ("A", "B", "C"):
        log.add(_call(action=action), 200)
    assert [call["action"] for call in log.since(1)["calls"]] == ["B", "C"]
    assert log.since(3) == {"next": 3, "calls": []}


@pytest.mark.parametrize("protocol", ["json", "ec2", "s3", "query"])
def test_an_error_message_is_escaped(protocol):
    status, _, body = error_answer(protocol, "Bad", 'role <"x"> & more', 400)
    assert status.startswith("400")
    assert b"<Message>role <" not in body
