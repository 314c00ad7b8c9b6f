"""What the parts of one simulated cluster share."""

from __future__ import annotations

from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from sandbox.postgres import Postgres
from sandbox.redshift.control import ControlPlane


@dataclass(frozen=True)
class Cluster:
    """One running cluster: `s3` is a boto3 client, `postgres` the private server behind the proxy."""

    cluster_id: str
    database: str
    postgres: Postgres
    control: ControlPlane
    s3: Any
    tls: SSLContext
