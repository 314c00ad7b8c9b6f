"""Steps that change the warehouse's tables: their creation, and the one load transaction.

Each looks up the warehouse in the register, checks this run's lease, and renews it while it works, in a worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from airflow_lib.naming import Slot, staging_schema
from airflow_lib.steps import Done, Failed, ImmediateStep, Json, Outcome, Run
from airflow_lib.steps.batch import read_fixed
from airflow_lib.steps.clusters import connected
from airflow_lib.steps.held import forget_loads
from airflow_lib.steps.leases import list_holders
from airflow_lib.steps.staging import stage_what_is_missing, written_rows
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.publish import WindowLoad, load_window


@dataclass(frozen=True)
class CreateTables(ImmediateStep):
    """Creates the pipeline's tables where they are absent, and drops the staging of runs that are over."""

    def begin(self, run: Run) -> Outcome:
        keep = {staging_schema(run_id) for run_id in list_holders(run, Slot.WAREHOUSE)}
        with connected(run) as (_, connection):
            warehouse.create_tables(connection, run.pipeline)
            dropped = warehouse.drop_orphan_staging(connection, keep)
        return Done({"created": [table.name for table in run.pipeline.warehouse_tables], "dropped": dropped})


@dataclass(frozen=True)
class LoadWindow(ImmediateStep):
    """The window's rows, dimensions, facts and ledger row in one transaction, unless a check of severity error refuses.

    The result: of each table its rows in all, of a fact also those of the window, now and before, and the checks'
    verdicts. Failed where the load brings rows that fail a check, or would empty the window: then nothing was loaded.
    """

    def begin(self, run: Run) -> Outcome:
        with connected(run) as (access, connection):
            pinned = stage_what_is_missing(run, connection, run.pipeline.staging, access.copy_role_arn)
            fixed = read_fixed(run)
            load = WindowLoad(
                run.pipeline,
                run.run_id,
                run.window,
                staging_schema(run.run_id),
                manifests={job: one.manifest.sha256 for job, one in pinned.items()},
                written=written_rows(pinned),
                pinned_at=dict.fromkeys(pinned, fixed.at),
                batch=fixed.batch.hash,
            )
            loaded = load_window(connection, load, locked=partial(forget_loads, run, access.generation))
        result: Json = {
            "tables": {name: dict(rows) for name, rows in loaded.tables.items()},
            "checks": [verdict.as_json() for verdict in loaded.verdicts],
        }
        if loaded.kept:
            result["kept"] = list(loaded.kept)
        return Failed(result, loaded.refused) if loaded.refused else Done(result)
