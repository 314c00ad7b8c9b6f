"""Why the output of a job that an earlier run loaded is not the one that it would load now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from airflow_lib.aws.errors import AWS_ERRORS
from airflow_lib.aws.s3 import ListedObject
from airflow_lib.errors import MayflyError
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark.batch import Batch
from airflow_lib.steps import Run
from airflow_lib.steps.batch import probe_batch
from airflow_lib.steps.pinned_output import find_pinned
from airflow_lib.steps.transform import resolve_job


@dataclass(frozen=True)
class Changes:
    """What changed since `run`, an earlier one, took its batch, by what it wrote down; `now` is there now."""

    run: Run
    now: Batch

    def describe(self, job: SparkJob) -> str:
        """In words; a run whose notes are gone, or cannot be read, tells only that something changed."""
        try:
            before, address = probe_batch(self.run), find_pinned(self.run, job)
            if before is None or address is None:
                return self._unknown(job)
            files = self._describe_files(job, before)
            if resolve_job(self.run, job, before).output.address == address:
                return files or f"the output of {job.name} was computed anew"
            if resolve_job(replace(self.run, force=True), job, before).output.address == address:
                return f"{job.name} was forced"
        except (MayflyError, *AWS_ERRORS):
            return self._unknown(job)
        return f"the code of {job.name} changed" + (f", and {files}" if files else "")

    def _describe_files(self, job: SparkJob, before: Batch) -> str:
        """How the files differ that the job reads, or one whose output it reads; empty where they do not."""
        old, new = ({item.key: item for item in self._files(job, batch)} for batch in (before, self.now))
        counts = {
            "new": len(new.keys() - old.keys()),
            "changed": sum(old[key] != new[key] for key in old.keys() & new.keys()),
            "gone": len(old.keys() - new.keys()),
        }
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        return f"the source of {job.name} changed (files: {told})" if told else ""

    def _files(self, job: SparkJob, batch: Batch) -> list[ListedObject]:
        jobs, todo = [job], [job]
        while todo:
            more = [one for one in self.run.pipeline.upstream(todo.pop()) if one not in jobs]
            jobs += more
            todo += more
        return [item for one in jobs for item in batch.resolve(one).objects]

    def _unknown(self, job: SparkJob) -> str:
        return f"the code or the source of {job.name} changed"
