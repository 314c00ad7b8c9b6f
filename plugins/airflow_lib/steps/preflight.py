"""Whatever a person must correct, told before anything is created, and all of it at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from typing import TypeVar

from airflow_lib.aws.s3 import list_objects
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import MayflyError, RegisterError, ResourceError, SettingsError, SourceError
from airflow_lib.lifecycle.document import Phase
from airflow_lib.naming import Slot
from airflow_lib.pipeline import SparkJob
from airflow_lib.prerequisites import buckets, network, offers
from airflow_lib.prerequisites.credentials import probe_identity
from airflow_lib.prerequisites.finding import Finding, Standing, examine
from airflow_lib.resources.subnet import Subnet, find_subnet
from airflow_lib.spark.batch import Batch, describe_missing
from airflow_lib.spark.outputs import probe_manifest
from airflow_lib.spark.rejects import refuse_rejects
from airflow_lib.spark.shipping import ensure_shipped, list_pipelines
from airflow_lib.spark.source_schema import check_sources
from airflow_lib.steps import Done, ImmediateStep, Json, Outcome, Run
from airflow_lib.steps.batch import fix_batch, look_at_sources, probe_fixed
from airflow_lib.steps.held import Idle, find_idle
from airflow_lib.steps.provision import needs_emr
from airflow_lib.steps.transform import resolve_job

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_MAX_FILES_SHOWN = 20  # of a job


@dataclass
class Mistakes:
    """Collects what is wrong, to tell it all at once; what is transient passes through."""

    errors: list[MayflyError] = field(default_factory=list)

    def attempt(self, work: Callable[[], _T]) -> _T | None:
        """What `work` comes to, or None where that is a mistake."""
        try:
            return work()
        except MayflyError as error:
            self.errors.append(error)
            return None

    def add(self, findings: list[Finding]) -> None:
        """What is wrong of them. What cannot be known is no reason to refuse the run: it is logged."""
        for finding in findings:
            if finding.standing is Standing.WRONG:
                self.errors.append(SettingsError(str(finding)))
            elif finding.standing is Standing.UNKNOWN:
                log.warning("cannot be known before the run: %s", finding)

    def check(self) -> None:
        """Raise the one mistake as it is, or several as one error.

        That is a ResourceError, after which the task is tried again, where AWS refused and nothing else is wrong: a
        right that was granted a minute ago may not be seen yet.
        """
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            lines = "\n".join(f"- {error}" for error in self.errors)
            only_refused = all(isinstance(error, ResourceError) for error in self.errors)
            kind = ResourceError if only_refused else SettingsError
            raise kind(f"{len(self.errors)} things must be corrected before a run:\n{lines}")


@dataclass(frozen=True)
class Preflight(ImmediateStep):
    """Checks the prerequisites before anything is created, fixes the run's batch, and ships the Spark code.

    Where the run has nothing to do, that is told as soon as it is known, and nothing else is asked.
    Raises SettingsError (credentials, region, network, offers), ResourceError (a bucket that is closed or missing),
    SourceError (input), SizingError (hardware); where several things are wrong, one error that lists them.
    """

    checks_credentials = True

    def begin(self, run: Run) -> Outcome:
        mistakes = Mistakes()
        size = mistakes.attempt(lambda: run.session_size)
        mistakes.attempt(partial(_check_overrides, run))
        identity = mistakes.attempt(lambda: probe_identity(run.aws, run.settings))
        if identity is None:
            mistakes.check()
        fixed = mistakes.attempt(lambda: probe_fixed(run))
        batch = fixed or mistakes.attempt(lambda: look_at_sources(run))
        if batch is not None and not mistakes.errors and (idle := _find_idle(run, batch)):
            told = _describe(run, fix_batch(run, batch))
            log.info("nothing to do: %s", idle.why)
            return Done({"identity": identity, **told}, idle.why, idle.leftovers)
        if batch is not None:
            for job in run.pipeline.jobs:
                mistakes.attempt(partial(_check_inputs, run, job, batch, is_fixed=fixed is not None))
        self._check_buckets(run, mistakes)
        self._check_clusters(run, mistakes, batch, sized=size is not None)
        mistakes.check()
        code = ensure_shipped(run.aws.s3, run.processed)
        sessions = size.sessions if size is not None else 0
        told = _describe(run, fix_batch(run, batch)) if batch is not None else {}
        return Done({"identity": identity, **told, "code": code, "sessions": sessions})

    def _check_buckets(self, run: Run, mistakes: Mistakes) -> None:
        """A missing or closed bucket is found here, and not by whatever uses it first."""
        before = len(mistakes.errors)
        for location in (run.processed, run.state_location, run.logs):
            mistakes.attempt(partial(_probe_location, run, location))
        if len(mistakes.errors) == before:
            bucket, uses = run.processed.bucket, ["processed"]
            check = partial(buckets.check_bucket, run.aws, run.settings, bucket, uses=uses)
            mistakes.add(examine(f"bucket {bucket}", check))

    def _check_clusters(self, run: Run, mistakes: Mistakes, batch: Batch | None, *, sized: bool) -> None:
        """Only what this run will create can be wrong; whether it will is asked where something seems to be."""
        findings = list(_cluster_findings(run, tuple(Slot), sized=sized))
        if any(finding.standing is Standing.WRONG for finding in findings):
            findings = list(_cluster_findings(run, _slots_to_create(run, batch), sized=sized))
        mistakes.add(findings)


def _check_overrides(run: Run) -> None:
    """Raise SettingsError where the settings of this pipeline seem to stand under a misspelt name.

    The run would go on with the deployment's settings, without a word. The settings do not know which pipelines there
    are: a name is taken for misspelt if it is much like this pipeline's and has no code. One that is like no other's
    may be a pipeline's that is gone, for whose leftovers the janitor still uses it; the doctor tells that it has no
    input.
    """
    name, others = run.pipeline.name, set(run.settings.overridden) - set(list_pipelines())
    for meant_for_us in get_close_matches(name, others - {name}, cutoff=0.75):
        raise SettingsError(
            f"mayfly: pipelines.{meant_for_us}: no pipeline of this name has code in sparkjobs/; did you mean "
            f"pipelines.{name}? Correct or remove it: no run reads it."
        )


def _find_idle(run: Run, batch: Batch) -> Idle | None:
    """Why the run has nothing to do; None where it has, or where the register cannot tell what the warehouse holds."""
    if run.force:
        return None
    try:
        document = run.register.read()
    except RegisterError as error:
        log.warning("whether the run has anything to do is not known: %s", error)
        return None
    return find_idle(run, batch, document)


def _describe(run: Run, batch: Batch) -> Json:
    """The batch, for people to read: of each job the files that it reads, or the first of them."""
    inputs: dict[str, list[str]] = {}
    for job in run.pipeline.jobs if batch.objects else ():
        uris = [uri for of_source in batch.resolve(job).uris for uri in of_source]
        more = [f"… {len(uris) - _MAX_FILES_SHOWN} more"] if len(uris) > _MAX_FILES_SHOWN else []
        inputs[job.name] = uris[:_MAX_FILES_SHOWN] + more
    size = sum(item.size for item in batch.objects)
    told = {"objects": len(batch.objects), "bytes": size, "hash": batch.hash, "fixed_at": batch.fixed_at}
    return {"inputs": inputs, "batch": told}


def _check_inputs(run: Run, job: SparkJob, batch: Batch, *, is_fixed: bool) -> None:
    """Raise SourceError where the job lacks a source, a file lacks a column, or its complete output rejected too much.

    The columns of a batch that is fixed were looked at when it was.
    """
    wrong = [
        describe_missing(run.aws.s3, run.source, job, batch),
        *_wrong_columns(run, job, batch, is_fixed=is_fixed),
    ]
    if told := [one for one in wrong if one]:
        raise SourceError("\n".join(told))
    output = resolve_job(run, job, batch).output
    manifest = probe_manifest(run.aws.s3, output)
    if manifest is not None:
        refuse_rejects(job, output, manifest)


def _wrong_columns(run: Run, job: SparkJob, batch: Batch, *, is_fixed: bool) -> Iterator[str]:
    """What is wrong with those of the job's sources that are there."""
    there = tuple(source for source in job.sources if not batch.missing(replace(job, sources=(source,))))
    if is_fixed:
        return
    found = replace(job, sources=there)
    try:
        check_sources(run.aws.s3, run.source.bucket, found, batch.resolve(found))
    except SourceError as error:
        yield error.message


def _probe_location(run: Run, location: S3Location) -> None:
    """Raise ResourceError where the location cannot be listed."""
    next(list_objects(run.aws.s3, location.bucket, location.key("")), None)


def _slots_to_create(run: Run, batch: Batch | None) -> list[Slot]:
    """The slots that are empty and that the run needs; all where that is not known."""
    try:
        document = run.register.read()
        empty = [slot for slot in Slot if document.slot(slot).phase is Phase.EMPTY]
        return [slot for slot in empty if slot is not Slot.EMR or batch is None or needs_emr(run, batch)]
    except MayflyError:
        return list(Slot)


def _cluster_findings(run: Run, slots: Collection[Slot], *, sized: bool) -> Iterator[Finding]:
    """What is found of the network and of AWS's offers for these slots' clusters.

    `sized`: the instance types are known to Mayfly; what it cannot size, it has refused already.
    """
    if not slots:
        return
    aws, settings = run.aws, run.settings.mayfly
    hardware = run.settings.hardware(run.pipeline)
    found: list[Subnet] = []

    def find() -> Iterator[Finding]:
        found.append(find_subnet(aws.ec2, settings.network.subnet_id))
        return iter(())

    yield from examine("subnet", find)
    for subnet in found:
        yield from network.check_addresses(subnet, hardware, slots)
        yield from examine("clients", partial(network.check_clients, aws, settings.network, subnet))
        if Slot.EMR in slots:
            yield from network.check_tag(subnet)
            yield from examine(f"DNS of {subnet.vpc_id}", partial(network.check_dns, aws, subnet))
        if Slot.EMR in slots and sized:
            types = frozenset({hardware.master_type, hardware.core_type})
            yield from examine("instance types", partial(offers.check_instance_types, aws, subnet, types))
        if Slot.WAREHOUSE in slots:
            yield from examine("Redshift node type", partial(offers.check_node_type, aws, subnet, hardware))
