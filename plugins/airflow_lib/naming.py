"""Environment + slot + generation -> every name and tag. No other module makes a name or a tag.

An environment is deployment x pipeline. Each name carries environment, slot and generation, so that a late
delete cannot hit a newer cluster. Ours is only what has our name *and* our tag (`is_ours`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

PREFIX = "mayfly"
# Seven digits are what the longest name has room for (`Names`).
MAX_GENERATION = 9_999_999
TAG_ENVIRONMENT = "mayfly:environment"
TAG_GENERATION = "mayfly:generation"
TAG_EXPIRES_AT = "mayfly:expires-at"

# AmazonEMRServicePolicy_v2 acts only on resources with this tag:
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-managed-iam-policies.html
TAG_EMR_MANAGED = ("for-use-with-amazon-emr-managed-policies", "true")


class Slot(StrEnum):
    """The two things an environment holds at most one live generation of."""

    EMR = "emr"
    WAREHOUSE = "warehouse"


@dataclass(frozen=True)
class Environment:
    """Deployment x pipeline: what owns resources."""

    deployment: str
    pipeline: str

    @property
    def name(self) -> str:
        return f"{self.deployment}-{self.pipeline}"

    @property
    def prefix(self) -> str:
        """What every name of this environment starts with."""
        return f"{PREFIX}-{self.name}-"


@dataclass(frozen=True)
class Names:
    """Every name of one generation of one slot.

    The longest, `mayfly-<12>-<16>-warehouse-service-g<n>`, stays within IAM's 64 and Redshift's 63 characters.
    """

    environment: Environment
    slot: Slot
    generation: int

    def _name(self, what: str = "") -> str:
        middle = f"{self.slot}-{what}-" if what else f"{self.slot}-"
        return f"{self.environment.prefix}{middle}g{self.generation}"

    @property
    def cluster(self) -> str:
        return self._name()

    @property
    def service_role(self) -> str:
        return self._name("service")

    @property
    def instance_role(self) -> str:
        """The EC2 role; its instance profile has the same name."""
        return self._name("ec2")

    @property
    def copy_role(self) -> str:
        return self._name("copy")

    @property
    def security_group(self) -> str:
        return self._name("sg")

    @property
    def master_security_group(self) -> str:
        return self._name("master")

    @property
    def core_security_group(self) -> str:
        return self._name("core")

    @property
    def service_security_group(self) -> str:
        """Service access group, which EMR wants in a private subnet."""
        return self._name("access")

    @property
    def final_snapshot(self) -> str:
        return self._name("final")


def tags(environment: Environment, generation: int, created_at: datetime, max_age_s: int) -> dict[str, str]:
    """The tags every resource is born with; `expires-at` is never renewed."""
    expires = created_at + timedelta(seconds=max_age_s)
    return {
        TAG_ENVIRONMENT: environment.name,
        TAG_GENERATION: str(generation),
        TAG_EXPIRES_AT: expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def is_ours(environment: Environment, name: str, tags: Mapping[str, str]) -> bool:
    """Whether something has our name and our tag: the only things we touch."""
    return generation_of(environment, name) is not None and tags.get(TAG_ENVIRONMENT) == environment.name


def generation_of(environment: Environment, name: str) -> int | None:
    """The generation in one of our names, or None where the name is not ours."""
    match = _parse(environment, name)
    return int(match["generation"]) if match else None


def slot_of(environment: Environment, name: str) -> Slot | None:
    """The slot in one of our names, or None where the name is not ours."""
    match = _parse(environment, name)
    return Slot(match["slot"]) if match else None


def _parse(environment: Environment, name: str) -> re.Match[str] | None:
    rest = r"(?P<slot>emr|warehouse)-(?:[a-z0-9]+-)?g(?P<generation>0|[1-9][0-9]{0,6})"
    return re.fullmatch(re.escape(environment.prefix) + rest, name)


def run_key(run_id: str) -> str:
    """A run's id as 12 hex digits, for names that cannot hold it (schemas, Livy sessions)."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:12]


def staging_schema(run_id: str) -> str:
    """The schema of a run's own staging tables."""
    return f"staging_{run_key(run_id)}"


def session_name(environment: Environment, run_id: str, job: str) -> str:
    """A Livy session's name: a retry finds its session by it and re-attaches."""
    return f"{environment.prefix}{run_key(run_id)}-{job}"


def warehouse_name(environment: Environment) -> str:
    """What lineage calls the warehouse: its clusters come and go, each under a name of its own (`Names.cluster`)."""
    return f"{environment.prefix}{Slot.WAREHOUSE}"


def table_asset_uri(pipeline: str, table: str) -> str:
    """What Airflow calls a table of the warehouse, as an asset.

    Not by the deployment: that is a setting, which nothing that parses a DAG file may read, and one Airflow has one.
    """
    return f"{PREFIX}://{pipeline}/tables/{table}"


def answer_asset_uri(pipeline: str, answer: str) -> str:
    """What Airflow calls a published answer, as an asset."""
    return f"{PREFIX}://{pipeline}/answers/{answer}"
