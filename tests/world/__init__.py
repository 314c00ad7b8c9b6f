"""A world for runs of Mayfly, in this process and on a clock moved by hand.

AWS is moto with life-cycles, Livy a server in memory below the real client, Spark a stand-in that runs the very
statement that Mayfly renders, and a warehouse's SQL is run by sqlite below the real templates and transactions.
Every request goes over one wire (`World.wire`), where it is noted and may meet an injected fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from threading import Event
from types import SimpleNamespace, TracebackType
from typing import Any, Self
from unittest.mock import patch

from tenacity import Retrying, wait_exponential

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.lifecycle.document import Document, decode_document
from airflow_lib.lifecycle.register import Register
from airflow_lib.naming import Environment, Names, Slot
from airflow_lib.pipeline import Pipeline, Window
from airflow_lib.settings import Settings, parse_settings
from airflow_lib.spark.livy import LivyClient
from airflow_lib.steps import Run, Services
from airflow_lib.steps.batch import fix_batch, look_at_sources
from tests.world.account import BUCKET, REGION, open_account, plain_aws, put_sources, wired_aws
from tests.world.bill import Bill
from tests.world.emr_clusters import EmrClusters
from tests.world.livy_servers import LivyServers
from tests.world.pipeline import APRIL, PIPELINE, sql_environment
from tests.world.spark import Jobs
from tests.world.sql_warehouse import SqlWarehouses
from tests.world.sqlite_redshift import Rows, empty, read_tables
from tests.world.timeline import Timeline
from tests.world.warehouses import Warehouses
from tests.world.wire import Wire
from tests.world.wired_s3 import MotoObjects


class World:
    """Enter it (`with World() as world`), and make runs in it."""

    def __init__(self) -> None:
        self.pipeline = PIPELINE  # whose runs are proved in it (tests/proof)
        self.timeline = Timeline()
        self.wire = Wire(self.timeline)
        self.jobs = Jobs()
        self.bill = Bill(self.timeline)
        self.emr = EmrClusters(self.timeline, REGION, self.bill, self.wire.lag)
        self.warehouses = Warehouses(self.timeline, REGION, self.bill)
        self.livy = LivyServers(self.timeline, self.wire, self.emr.serves, self.jobs.run_code)
        self.sql = SqlWarehouses(self.timeline, self.wire, self.warehouses)
        self.aws = wired_aws(self.wire, self.timeline)
        self.others = plain_aws()
        self._patches = ExitStack()

    def __enter__(self) -> Self:
        open_account(self._patches)
        self.emr.install(self._patches)
        self.warehouses.install(self._patches)
        sleep = self.advance
        register = partial(Register, sleep=sleep, jitter=lambda: 1.0)
        for target, value in (
            ("airflow_lib.lifecycle.holder.Register", register),
            (
                "airflow_lib.steps.transform.hash_code",
                lambda _: "c0de" * 16,
            ),  # no folder of sparkjobs/ is its own
            ("airflow_lib.steps.leases.threading", SimpleNamespace(Event=Event, Thread=_NoThread)),
            ("airflow_lib.warehouse.connection.psycopg2.connect", self.sql.connect),
            ("airflow_lib.warehouse.connection.Retrying", partial(_retrying, sleep)),
            ("airflow_lib.warehouse.sql._environment", sql_environment),
            ("botocore.endpoint.time", SimpleNamespace(sleep=sleep)),
            ("moto.iam.models.utcnow", lambda: self.now().replace(tzinfo=None)),
        ):
            self._patches.enter_context(patch(target, value))
        self._patches.enter_context(patch.object(LivyClient._get_patiently.retry, "sleep", sleep))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patches.close()

    def now(self) -> datetime:
        return self.timeline.now()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.timeline.advance(seconds)

    def heal(self) -> None:
        """Let everything go well from now on."""
        self.wire.choose_fault = lambda _: None
        self.wire.faults.clear()
        self.wire.late.delay_s = self.emr.listed_after_s = 0
        self.wire.lag.takes = False
        self.wire.late.snapshots_unseen_until = self.now()
        self.emr.failures.clear()
        self.livy.heal()
        self.timeline.slowness = 1.0

    def run(self, run_id: str, *, pipeline: Pipeline, window: Window = APRIL, **mayfly: Any) -> Run:
        """A run; `mayfly` are keys of the Variable that differ from the world's own."""
        services = Services(
            aws=self.aws, clock=self.timeline, find_livy=self.livy.contact, open_livy=self.livy.open
        )
        return Run(pipeline, run_id, window, settings(**mayfly), services)

    def fix_batch(self, run: Run, max_tries: int = -1) -> None:
        """What a preflight before this run's first one would have fixed, without a call: for steps driven alone.

        With a large `max_tries`: what one fixes that a person cleared.
        """
        by_others = replace(run, services=replace(run.services, aws=self.others), max_tries=max_tries)
        fix_batch(by_others, look_at_sources(by_others))

    def forget_held(self) -> None:
        """What the warehouse holds is not known outside it, so the next run has work."""
        for key in self.objects(f"state/{self.pipeline.name}/loads/"):
            MotoObjects()[BUCKET, key] = b""

    def put_sources(self, pipeline: Pipeline) -> None:
        put_sources(pipeline)

    def register(self, pipeline: Pipeline) -> Document:
        """The register as it is stored, read by nobody's call."""
        location, name = S3Location.parse(f"s3://{BUCKET}/state/{pipeline.name}"), f"dev-{pipeline.name}"
        body = MotoObjects().get((BUCKET, location.key("register.json")))
        return Document(name) if body is None else decode_document(body, "the register", name)

    def tables(self, pipeline: Pipeline) -> dict[str, Rows]:
        """What is loaded: of each table the rows, sorted, in the warehouse or the snapshot that the register names.

        Identity columns are left out, and so is the ledger; a table that is not there has no rows.
        """
        state, contents = self.register(pipeline).warehouse, self.warehouses.contents
        content = contents.get(self.names(pipeline, Slot.WAREHOUSE, state.generation).cluster)
        if content is None:
            there = state.snapshot in self.warehouses.snapshots
            content = self.warehouses.kept[str(state.snapshot)] if there else empty()
        return read_tables(content, [table.name for table in pipeline.warehouse_tables])

    def names(self, pipeline: Pipeline, slot: Slot, generation: int = 1) -> Names:
        return Names(Environment("dev", pipeline.name), slot, generation)

    def objects(self, prefix: str = "") -> list[str]:
        """The keys in the bucket."""
        return sorted(key for bucket, key in MotoObjects() if bucket == BUCKET and key.startswith(prefix))


class _NoThread:
    """The keeper of a lease waits minutes by a real clock, which do not pass here, and would not outlive a fork."""

    def __init__(self, **_: Any) -> None: ...

    def start(self) -> None: ...

    def join(self) -> None: ...


def _retrying(sleep: Callable[[float], None], /, **given: Any) -> Retrying:
    """The warehouse's retries, by the world's clock and without their jitter."""
    return Retrying(**{**given, "sleep": sleep, "wait": wait_exponential(multiplier=0.5, max=20)})


def settings(**mayfly: Any) -> Settings:
    """Settings as the Variables would say them."""
    variable = {
        "deployment": "dev",
        "s3": {name: f"s3://{BUCKET}/{name}" for name in ("source", "processed", "state", "logs")},
        "network": {"client_cidr": "10.0.0.0/16"},
        "poll_s": 120,  # the longest allowed: fewer polls
        **mayfly,
    }
    return parse_settings({"aws_region": REGION, "aws_credentials": None, "mayfly": json.dumps(variable)})
