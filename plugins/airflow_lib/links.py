"""Where else a person looks: the pages of AWS's console, and of Livy, that belong to a task.

They are made of names, of what the task found, and of what the tasks returned that the run's clusters are from; AWS is
not asked. No link holds a secret: the console wants a login, and Livy the network that its security group lets in.
The pages' addresses: airflow/providers/amazon/aws/links/ (amazon 9.39).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import SettingsError
from airflow_lib.naming import Environment, Names, Slot, run_key, slot_of
from airflow_lib.settings import Settings
from airflow_lib.steps import Json, Step
from airflow_lib.steps.answer import PublishAnswer
from airflow_lib.steps.load import CreateTables, LoadWindow
from airflow_lib.steps.provision import EnsureEmr, EnsureWarehouse
from airflow_lib.steps.release import ReleaseSlot
from airflow_lib.steps.staging import CopyStaging
from airflow_lib.steps.transform import RunJob
from airflow_lib.steps.verify import VerifyTable

REPORT = "Run report"
EMR = "EMR console"
SPARK = "Spark history (EMR console)"  # its tab Applications, also after the cluster's end
LIVY, LIVY_LOG = "Livy session", "Livy log"
WAREHOUSE = "Redshift console"
OUTPUT = "Output in S3"

REPORT_NAME = "report.html"

# The tasks that return which clusters the run has.
CLUSTER_TASKS = {Slot.EMR: "provision.emr", Slot.WAREHOUSE: "provision.warehouse"}

# The console of each partition that Airflow's provider knows, by how its regions' names begin; of the others it has
# none: https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
_DOMAINS = {"cn-": "amazonaws.cn", "us-gov-": "amazonaws-us-gov.com"}
_WITHOUT_CONSOLE = ("us-iso", "eu-iso", "eusc-")

_CLUSTER_ID = re.compile(r"j-[A-Z0-9]{1,40}\Z")
_LIVY_URL = re.compile(r"https?://[A-Za-z0-9.-]{1,253}:[0-9]{1,5}\Z")


@dataclass(frozen=True)
class Looked:
    """What is known where a task's links are made.

    `own` is the task's result, or its state while it waits; `clusters` are the results of `CLUSTER_TASKS`, by slot. All
    of it may be of a version before this, or missing.
    """

    settings: Settings
    pipeline: str
    run_id: str
    own: Json = field(default_factory=dict)
    clusters: Mapping[Slot, Json] = field(default_factory=dict)

    @property
    def environment(self) -> Environment:
        return Environment(self.settings.mayfly.deployment, self.pipeline)


def link_names(step: Step | None) -> tuple[str, ...]:
    """The names of a task's links, the same for every run; None is a task that is no step."""
    return (*_names_of(step), REPORT)


def slots_of(step: Step | None) -> tuple[Slot, ...]:
    """The clusters that the task's links lead to."""
    names = _names_of(step)
    slots = {Slot.EMR: {EMR, SPARK}, Slot.WAREHOUSE: {WAREHOUSE}}
    return tuple(slot for slot, of_slot in slots.items() if of_slot & set(names))


def list_links(step: Step | None, looked: Looked) -> dict[str, str]:
    """The addresses of the task's links that are known by now, by name."""
    names = _names_of(step)
    found = {REPORT: _report(looked)}
    if EMR in names:
        found[EMR] = _emr(looked)
    if SPARK in names:
        found[SPARK] = _emr(looked)
    if WAREHOUSE in names:
        found[WAREHOUSE] = _warehouse(looked)
    if isinstance(step, RunJob):
        found |= _livy(looked.own)
        found[OUTPUT] = _job_output(looked)
    if isinstance(step, PublishAnswer):
        published = S3Location.parse(looked.settings.mayfly.s3.published).below(looked.pipeline, step.name)
        found[OUTPUT] = _folder(looked, published)
    return {name: url for name, url in found.items() if url}


def _names_of(step: Step | None) -> tuple[str, ...]:
    match step:
        case EnsureEmr() | ReleaseSlot(slot=Slot.EMR):
            return (EMR,)
        case RunJob():
            return (LIVY, LIVY_LOG, SPARK, OUTPUT)
        case PublishAnswer():
            return (OUTPUT, WAREHOUSE)
        case (
            EnsureWarehouse() | ReleaseSlot() | CreateTables() | CopyStaging() | LoadWindow() | VerifyTable()
        ):
            return (WAREHOUSE,)
        case _:
            return ()


def _console(looked: Looked, page: str) -> str:
    """The address of a page of the console, or empty where the region's partition has none that is known."""
    region = looked.settings.region
    if region.startswith(_WITHOUT_CONSOLE):
        return ""
    domain = next(
        (domain for begin, domain in _DOMAINS.items() if region.startswith(begin)), "aws.amazon.com"
    )
    return f"https://console.{domain}/{page}"


def _report(looked: Looked) -> str:
    logs = S3Location.parse(looked.settings.mayfly.s3.logs).below(looked.pipeline)
    key = logs.key("runs", run_key(looked.run_id), REPORT_NAME)
    return _console(
        looked, f"s3/object/{_quoted(logs.bucket)}?region={looked.settings.region}&prefix={_quoted(key)}"
    )


def _folder(looked: Looked, location: S3Location) -> str:
    bucket, prefix = _quoted(location.bucket), _quoted(location.folder_key)
    return _console(looked, f"s3/buckets/{bucket}?region={looked.settings.region}&prefix={prefix}")


def _emr(looked: Looked) -> str:
    """The cluster's page; where its id is not known yet, the list of clusters; none where the run needs no cluster."""
    theirs = looked.clusters.get(Slot.EMR, {})
    if theirs.get("needed") is False or looked.own.get("needed") is False:
        return ""
    for told in (looked.own.get("cluster_id"), looked.own.get("requested"), theirs.get("cluster_id")):
        if isinstance(told, str) and _CLUSTER_ID.match(told):
            return _console(looked, f"emr/home?region={looked.settings.region}#/clusterDetails/{told}")
    return _console(looked, f"emr/home?region={looked.settings.region}#/clusters")


def _warehouse(looked: Looked) -> str:
    environment, generation = looked.environment, looked.own.get("generation")
    named = [looked.own.get("cluster"), looked.clusters.get(Slot.WAREHOUSE, {}).get("cluster")]
    if isinstance(generation, int):
        named.append(Names(environment, Slot.WAREHOUSE, generation).cluster)
    for name in named:
        if isinstance(name, str) and slot_of(environment, name) is Slot.WAREHOUSE:
            page = f"redshiftv2/home?region={looked.settings.region}#/cluster-details?cluster={_quoted(name)}"
            return _console(looked, page)
    return _console(looked, f"redshiftv2/home?region={looked.settings.region}#/clusters")


def _livy(own: Json) -> dict[str, str]:
    """The pages of Livy's own UI (server/ui/UIServlet.scala, Livy 0.8), while the session is there."""
    url, session = own.get("url"), own.get("session")
    if not isinstance(url, str) or not _LIVY_URL.match(url):
        return {}
    if not isinstance(session, int):
        return {LIVY: f"{url}/ui"}
    return {LIVY: f"{url}/ui/session/{session}", LIVY_LOG: f"{url}/ui/session/{session}/log"}


def _job_output(looked: Looked) -> str:
    manifest = looked.own.get("manifest")
    processed = S3Location.parse(looked.settings.mayfly.s3.processed).below(looked.pipeline)
    if not isinstance(manifest, str) or not manifest.startswith(f"{processed}/"):
        return ""
    try:
        return _folder(looked, S3Location.parse(manifest.rpartition("/")[0]))
    except SettingsError:
        return ""


def _quoted(text: str) -> str:
    return quote(text, safe="")
