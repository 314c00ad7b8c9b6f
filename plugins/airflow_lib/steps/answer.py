"""The questions that a pipeline answers."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_lib.aws.s3 import delete_object, list_objects
from airflow_lib.aws.s3_location import S3Location, uri_of
from airflow_lib.errors import WarehouseError
from airflow_lib.naming import Slot, staging_schema
from airflow_lib.pipeline import Answer
from airflow_lib.steps import Done, Failed, ImmediateStep, Json, Outcome, Run
from airflow_lib.steps.asked import note_asked
from airflow_lib.steps.clusters import WarehouseAccess, find_warehouse
from airflow_lib.steps.leases import keeping_lease
from airflow_lib.warehouse import answers as warehouse
from airflow_lib.warehouse.answers import FORMATS, Asked, Rebuilt
from airflow_lib.warehouse.connection import Connection, read
from airflow_lib.warehouse.quality import CheckContext

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishAnswer(ImmediateStep):
    """One answer: its table rebuilt where it is one, and its rows published as Parquet and as CSV.

    The result has the columns, the first rows, how many rows there are, and where they were published. Failed, with the
    table and the files as they were, where a check of the answer finds rows.
    """

    name: str

    def begin(self, run: Run) -> Outcome:
        answer = run.pipeline.answer(self.name)
        location = run.published.below(answer.name)
        access, began = find_warehouse(run), run.services.clock.now()
        with keeping_lease(run, Slot.WAREHOUSE):
            # All of it may be repeated, also where it is unknown whether a commit took effect.
            rebuilt, asked = read(access.connect, lambda conn: _answer(run, answer, conn, access, location))
            checks = [verdict.as_json() for verdict in rebuilt.verdicts]
            if asked is None:
                return Failed({"checks": checks}, rebuilt.refused)
            note_asked(run, answer, began)
        first = asked.first
        for row in first.rows:
            log.info("%s", dict(zip(first.columns, row, strict=True)))
        result: Json = {
            "columns": list(first.columns),
            "rows": [list(row) for row in first.rows],
            "row_count": asked.row_count,
            "published": dict(asked.published),
        }
        return Done({**result, "checks": checks} if checks else result)


def _answer(
    run: Run, answer: Answer, conn: Connection, access: WarehouseAccess, location: S3Location
) -> tuple[Rebuilt, Asked | None]:
    """Nothing is asked where the table was refused."""
    rebuilt = Rebuilt(())
    if answer.table:
        context = CheckContext(run.pipeline, run.window, staging_schema(run.run_id), written={})
        rebuilt = warehouse.rebuild(conn, run.pipeline, answer, context)
        if rebuilt.refused:
            return rebuilt, None
    asked = warehouse.unload(
        conn,
        run.pipeline,
        answer,
        location=location,
        role_arn=access.copy_role_arn,
        settle=lambda rows: _settle(run, answer, location, rows),
    )
    return rebuilt, asked


def _settle(run: Run, answer: Answer, location: S3Location, row_count: int) -> Mapping[str, str]:
    """Where the answer lies, by format; empty where it has no rows, and so no files.

    UNLOAD overwrites files and removes none. So those of an answer that has no rows any more are deleted here, and one
    that fills several files is refused: which of them an earlier run left, nothing tells.
    Raises WarehouseError where what lies there is not this answer in one file of each format.
    """
    s3, bucket = run.aws.s3, location.bucket
    named = re.compile(rf"({'|'.join(FORMATS)})/{re.escape(answer.name)}_[0-9]+\.\1")
    listed = [item.key for item in list_objects(s3, bucket, location.folder_key)]
    ours = {key for key in listed if named.fullmatch(key.removeprefix(location.folder_key))}
    if not row_count:
        for key in sorted(ours):
            delete_object(s3, bucket, key)
        return {}
    keys = {kind: warehouse.file_key(answer, location, kind) for kind in FORMATS}
    if missing := sorted(set(keys.values()) - ours):
        raise WarehouseError(
            f"UNLOAD of answer {answer.name} has written {row_count} rows, and "
            f"{uri_of(bucket, missing[0])} is not there. If nobody deleted it this minute, report this; then clear "
            "the task."
        )
    if more := sorted(ours - set(keys.values())):
        raise WarehouseError(
            f"Answer {answer.name} is published as one file, and {uri_of(bucket, more[0])} lies beside it: now, or in "
            f"an earlier run, it was larger than the 6.2 GB that one file holds. Let its SELECT return less if it is "
            f"still that large, delete what is in {location}/, and clear the task."
        )
    return {kind: uri_of(bucket, key) for kind, key in keys.items()}
