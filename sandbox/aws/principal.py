"""The IAM user that the product acts as, with the policies of docs/: what the account's owner makes once on AWS.

Its rights are what the policy simulator answers by; no call is refused for lack of them.
"""

from __future__ import annotations

from pathlib import Path

from moto.iam.models import iam_backends

from sandbox.account import PRODUCT_KEY, REGION, S3_LOCATIONS
from sandbox.aws.context import ACCOUNT, PARTITION

USER = "airflow"
_DOCS = Path(__file__).resolve().parents[2] / "docs"
_POLICIES = ("iam-principal-policy", "iam-doctor-policy")


def prepare_principal() -> None:
    """Make the user, its access key and its policies."""
    backend = iam_backends[ACCOUNT][PARTITION]
    user = backend.create_user(REGION, USER)
    for name in _POLICIES:
        # Inline, however long: the inventory would list managed ones, which a run must not leave behind.
        user.put_policy(name, _filled((_DOCS / f"{name}.json").read_text()))
    key = user.create_access_key("AKIA")
    key.access_key_id = PRODUCT_KEY["access_key_id"]
    backend.access_keys[key.access_key_id] = key


def _filled(policy: str) -> str:
    """The policy with its placeholders replaced, as setup_backend.md says; the principal is a user here."""
    values = {"role/PRINCIPAL": f"user/{USER}", "ACCOUNT_ID": ACCOUNT, "REGION": REGION, "TOPIC": "none"}
    for name, location in S3_LOCATIONS.items():
        bucket, prefix = location.removeprefix("s3://").split("/", 1)
        values |= {f"{name.upper()}_BUCKET": bucket, f"{name.upper()}_PREFIX": prefix}
    for placeholder, value in values.items():
        policy = policy.replace(placeholder, value)
    return policy
