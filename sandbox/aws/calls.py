"""Names each request's `service.action` as IAM policies do, and logs all calls.

`service` is the IAM prefix (`elasticmapreduce`, not `emr`), so that the log can be compared with a policy.
"""

from __future__ import annotations

import io
import re
import threading
import time
import urllib.parse
from dataclasses import asdict, dataclass
from typing import Any

Environ = dict[str, Any]

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d+/([^/]*)/([^/]+)/")

# Signing name -> IAM prefix, where they differ.
_PREFIXES = {"tagging": "tag", "monitoring": "cloudwatch"}

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_BUCKET_QUERIES = {
    ("GET", "location"): "GetBucketLocation",
    ("GET", "versions"): "ListBucketVersions",
    ("GET", "uploads"): "ListBucketMultipartUploads",
    ("GET", "versioning"): "GetBucketVersioning",
    ("PUT", "versioning"): "PutBucketVersioning",
    ("GET", "policy"): "GetBucketPolicy",
    ("PUT", "policy"): "PutBucketPolicy",
    ("DELETE", "policy"): "DeleteBucketPolicy",
    ("GET", "tagging"): "GetBucketTagging",
    ("PUT", "tagging"): "PutBucketTagging",
    ("DELETE", "tagging"): "PutBucketTagging",
    ("GET", "lifecycle"): "GetLifecycleConfiguration",
    ("PUT", "lifecycle"): "PutLifecycleConfiguration",
    ("DELETE", "lifecycle"): "PutLifecycleConfiguration",
    ("GET", "encryption"): "GetEncryptionConfiguration",
    ("PUT", "encryption"): "PutEncryptionConfiguration",
    ("GET", "notification"): "GetBucketNotification",
    ("PUT", "notification"): "PutBucketNotification",
    ("GET", "acl"): "GetBucketAcl",
    ("PUT", "acl"): "PutBucketAcl",
    ("GET", "publicAccessBlock"): "GetBucketPublicAccessBlock",
    ("PUT", "publicAccessBlock"): "PutBucketPublicAccessBlock",
    ("POST", "delete"): "DeleteObject",
}
_BUCKET_DEFAULTS = {
    "GET": "ListBucket",
    "HEAD": "ListBucket",
    "PUT": "CreateBucket",
    "DELETE": "DeleteBucket",
    "POST": "PutObject",
}
_OBJECT_QUERIES = {
    ("GET", "uploadId"): "ListMultipartUploadParts",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", "tagging"): "GetObjectTagging",
    ("PUT", "tagging"): "PutObjectTagging",
    ("DELETE", "tagging"): "DeleteObjectTagging",
    ("GET", "acl"): "GetObjectAcl",
    ("PUT", "acl"): "PutObjectAcl",
    ("GET", "attributes"): "GetObjectAttributes",
    ("GET", "versionId"): "GetObjectVersion",
    ("HEAD", "versionId"): "GetObjectVersion",
    ("DELETE", "versionId"): "DeleteObjectVersion",
    ("POST", "restore"): "RestoreObject",
}
_OBJECT_DEFAULTS = {
    "GET": "GetObject",
    "HEAD": "GetObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
    "POST": "PutObject",
}


@dataclass(frozen=True)
class Call:
    """One identified request; `text` is what a fault's `match` is searched in."""

    service: str
    action: str
    caller: str
    protocol: str
    text: str


def identify(environ: Environ) -> Call:
    """Identify a request. If its body is read, it is put back for moto."""
    query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    caller, service = _signer(environ, query)
    path = environ.get("PATH_INFO", "/")
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return Call(service, target.rsplit(".", 1)[-1], caller, "json", _buffered_body(environ))
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded") and service != "s3":
        body = _buffered_body(environ)
        action = urllib.parse.parse_qs(body).get("Action", ["?"])[0]
        return Call(service, action, caller, "ec2" if service == "ec2" else "query", body)
    if service == "s3":
        text = f"{environ['REQUEST_METHOD']} {path}?{environ.get('QUERY_STRING', '')}"
        return Call("s3", _s3_action(environ["REQUEST_METHOD"], path, query), caller, "s3", text)
    return Call(service, query.get("Action", [environ["REQUEST_METHOD"]])[0], caller, "query", path)


def _signer(environ: Environ, query: dict[str, list[str]]) -> tuple[str, str]:
    """(access key, service); an unsigned request counts as one to S3, as in moto."""
    signed = environ.get("HTTP_AUTHORIZATION", "")
    if "X-Amz-Credential" in query:
        signed = f"Credential={query['X-Amz-Credential'][0]}"
    found = _CREDENTIAL.search(signed)
    if not found:
        return "", "s3"
    service = found.group(3).lower()
    return found.group(1), _PREFIXES.get(service, service)


def _buffered_body(environ: Environ) -> str:
    raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(raw)
    return raw.decode("utf-8", "replace")


def _s3_action(method: str, path: str, query: dict[str, list[str]]) -> str:
    bucket, _, key = path.lstrip("/").partition("/")
    if not bucket:
        return "ListAllMyBuckets"
    queries, defaults = (_OBJECT_QUERIES, _OBJECT_DEFAULTS) if key else (_BUCKET_QUERIES, _BUCKET_DEFAULTS)
    named = (queries[method, name] for name in query if (method, name) in queries)
    return next(named, defaults.get(method, method))


@dataclass(frozen=True)
class LoggedCall:
    """A logged call; `status` is the HTTP status, 0 if the connection was closed without an answer."""

    n: int
    time: float
    service: str
    action: str
    caller: str
    status: int


class CallLog:
    """Every call since the start, in the order in which they were answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[LoggedCall] = []

    def add(self, call: Call, status: int) -> None:
        with self._lock:
            n = len(self._calls)
            self._calls.append(LoggedCall(n, time.time(), call.service, call.action, call.caller, status))

    def since(self, n: int) -> dict[str, Any]:
        """The calls from the n-th on, and in `next` the number of the next call."""
        with self._lock:
            chosen = self._calls[max(n, 0) :]
            return {"next": len(self._calls), "calls": [asdict(call) for call in chosen]}
