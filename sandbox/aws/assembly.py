"""Assembles the server: patches moto, and puts the gateway in front of it. Imported once per process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

from sandbox.aws import ec2, emr_api, iam, offers, redshift_api, s3
from sandbox.aws.calls import CallLog
from sandbox.aws.context import Context
from sandbox.aws.control import Control
from sandbox.aws.credentials import Credentials
from sandbox.aws.emr import Lives
from sandbox.aws.faults import Faults
from sandbox.aws.gateway import Gateway
from sandbox.aws.principal import prepare_principal
from sandbox.aws.redshift import Warehouses
from sandbox.aws.snapshots import SnapshotStore


@dataclass(frozen=True)
class Parts:
    """The WSGI application, its request handler, and a function that stops every cluster."""

    application: Gateway
    request_handler: type
    stop: Callable[[], None]


def assemble(context: Context) -> Parts:
    """Patch moto, reload the stored objects and snapshots, and put the gateway in front of moto."""
    calls, faults, credentials = CallLog(), Faults(), Credentials()
    lives = Lives(context)
    snapshots = SnapshotStore(context.state.snapshots)
    warehouses = Warehouses(context, snapshots)
    objects = s3.install(context.state.s3)
    ec2.install()
    iam.install(context.delays)
    offers.install()
    emr_api.install(lives)
    redshift_api.install(warehouses, credentials)
    snapshots.reload()
    ec2.prepare_default_network(os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))
    prepare_principal()
    moto: Any = DomainDispatcherApplication(create_backend_app)
    control = Control(calls, faults, lives, credentials, context.delays)

    def stop() -> None:
        lives.stop_all()
        warehouses.stop_all()
        objects.close()

    return Parts(Gateway(context, moto, control, calls, faults), MotoRequestHandler, stop)
