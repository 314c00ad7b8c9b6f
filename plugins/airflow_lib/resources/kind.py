"""What every kind of resource says of itself, and what one generation's resources are made from.

A kind lives in one file of this room and stands in one list, `registry.REGISTRY`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.naming import Environment, Names
from airflow_lib.pipeline import Hardware
from airflow_lib.resources.owned import Owned
from airflow_lib.resources.subnet import SubnetFacts
from airflow_lib.settings import MayflySettings


@dataclass(frozen=True)
class GenerationSpec:
    """All that one generation of one slot is made from.

    `source`, `processed`, `published` and `logs` are the pipeline's folders; `configurations` are EMR's
    classifications; `restore_from` is the snapshot that a warehouse is restored from, None for an empty one.
    """

    names: Names
    tags: Mapping[str, str]
    hardware: Hardware
    settings: MayflySettings
    subnet: SubnetFacts
    source: S3Location
    processed: S3Location
    published: S3Location
    logs: S3Location
    configurations: Sequence[Mapping[str, Any]] = ()
    restore_from: str | None = None


class Delete(Protocol):
    """Ask for the removal of a generation's things of this kind; returning means that none is left.

    `keep_data` is whether a warehouse leaves a final snapshot; other kinds ignore it. Raises NotReady while one
    is still being deleted or still in use, ForeignResource where one is not ours, ResourceError where AWS refuses.
    """

    def __call__(self, aws: Aws, names: Names, *, keep_data: bool) -> None: ...


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    `names` are those that a generation's things of this kind bear; none where its slot has no such thing.
    `ensure` creates them or adopts our own, and may be repeated; None for clusters, which a step creates and
    waits for, and for snapshots.
    `delete` is None for what outlives its generation. `list_owned` lists every generation's.
    `uses_the_rest`: nothing further down the registry may go before these are gone.
    """

    title: str
    names: Callable[[Names], tuple[str, ...]]
    list_owned: Callable[[Aws, Environment], list[Owned]]
    ensure: Callable[[Aws, GenerationSpec], None] | None = None
    delete: Delete | None = None
    uses_the_rest: bool = False
