"""The Airflow Variables `aws_credentials`, `aws_region` and `mayfly`, validated.

The operators read the Variables (this library never imports Airflow); here their text becomes frozen models. One error
lists every mistake, with the Variable and the key. setup_backend.md documents every key.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from airflow_lib.bounded_json import load_json
from airflow_lib.errors import SettingsError
from airflow_lib.pipeline import PIPELINE_NAME, Hardware, Pipeline
from airflow_lib.pipeline.ready_by import ReadyBy
from airflow_lib.settings_model import SettingsModel, describe, format_key, validate

VARIABLES = ("aws_credentials", "aws_region", "mayfly")

# The longest time that a wait, a lease or a keep-alive may be set to. The register relies on it: what is further ahead
# there was not written by Mayfly (`lifecycle.document.MAX_AHEAD`).
DAY_S = 86_400

_LISTED = 100  # mistakes in one error; more than anyone reads
_REGION = re.compile(r"[a-z]{2}(-[a-z]{1,16}){1,3}-[0-9]{1,2}\Z")
_CLASS_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+\Z")
_S3_LOCATION = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!.*'()=-]+)*/?\Z")


def _without_slash(location: str) -> str:
    if not _S3_LOCATION.match(location):
        raise ValueError(f"{location!r} is not an S3 location; write s3://bucket/prefix")
    return location.rstrip("/")


class AwsCredentials(SettingsModel):
    """The Variable `aws_credentials`: a key pair.

    Without it a task uses the connection `aws_default`, else boto3's chain; the janitor's command uses the chain.
    """

    access_key_id: str = Field(min_length=1)
    secret_access_key: SecretStr = Field(min_length=1)
    session_token: SecretStr | None = None


class S3Settings(SettingsModel):
    """Locations in buckets that exist: no run creates or deletes a bucket.

    The pipeline's name is appended to each, so that pipelines can share them.
    """

    source: str
    processed: str
    published: str
    state: str
    logs: str

    @field_validator("source", "processed", "published", "state", "logs")
    @classmethod
    def _is_a_location(cls, value: str) -> str:
        return _without_slash(value)


class NetworkSettings(SettingsModel):
    """The clusters' subnet, and who may connect to Livy and Redshift."""

    subnet_id: str | None = None
    client_security_group_id: str | None = None
    client_cidr: str | None = None

    @field_validator("client_cidr")
    @classmethod
    def _is_private_enough(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            network = ipaddress.ip_network(value)
        except ValueError as error:
            raise ValueError(f"{error}; write a CIDR such as 10.0.0.0/16, or one address") from None
        if network.prefixlen < 8 or not (network.is_private or network.prefixlen == network.max_prefixlen):
            raise ValueError(
                f"{value} would open Livy and Redshift to other people's hosts; write a private range of /8 or "
                "narrower, or the one address (/32) that Airflow connects from"
            )
        return str(network)

    @model_validator(mode="after")
    def _names_a_client(self) -> NetworkSettings:
        if self.client_security_group_id is None and self.client_cidr is None:
            raise ValueError(
                "neither client_security_group_id nor client_cidr is set, so nobody could connect to Livy or "
                "Redshift; set one of them to where Airflow's workers and its triggerer are: both connect to Livy"
            )
        return self


class EmrSettings(SettingsModel):
    """EMR parameters; where a hardware value is left out, the pipeline's declaration applies."""

    release: str = "emr-7.13.0"
    master_type: str | None = None
    core_type: str | None = None
    core_count: int | None = Field(default=None, ge=1, le=100)
    ebs_gib: int | None = Field(default=None, ge=15, le=2048)
    idle_timeout_s: int = Field(default=3600, ge=60, le=604800)
    create_timeout_s: int = Field(default=1800, ge=1, le=DAY_S)
    delete_timeout_s: int = Field(default=1200, ge=1, le=DAY_S)

    @field_validator("release")
    @classmethod
    def _is_emr_7(cls, value: str) -> str:
        if not re.match(r"emr-7\.[0-9]{1,3}\.[0-9]{1,3}\Z", value):
            raise ValueError(
                f"{value!r} is not an EMR 7 release; write one such as emr-7.13.0, which the Spark jobs are written for"
            )
        return value


class WarehouseSettings(SettingsModel):
    """Redshift parameters; where a hardware value is left out, the pipeline's declaration applies."""

    node_type: str | None = None
    nodes: int | None = Field(default=None, ge=1, le=32)
    database: str = Field(default="mayfly", pattern=r"^[a-z][a-z0-9_]{0,62}$")
    keep_snapshots: int = Field(default=2, ge=2, le=20)
    create_timeout_s: int = Field(default=2400, ge=1, le=DAY_S)
    delete_timeout_s: int = Field(default=2400, ge=1, le=DAY_S)
    absent_after_s: float = Field(default=60, ge=1, le=3600)

    @field_validator("node_type")
    @classmethod
    def _can_be_created(cls, value: str | None) -> str | None:
        if value is not None and value.startswith(("dc2.", "ds2.", "dc1.")):
            raise ValueError(
                f"AWS no longer creates {value} nodes; write ra3.large, ra3.xlplus or ra3.4xlarge"
            )
        return value


class LivySettings(SettingsModel):
    """How Livy is reached, and how long its sessions and statements may take.

    `scheme` `auto` looks which one answers. `ca` is PEM text: workers and triggerer need no file.
    """

    port: int = Field(default=8998, ge=1, le=65535)
    scheme: Literal["auto", "https", "http"] = "auto"
    ca: str | None = Field(default=None, max_length=100_000)
    session_timeout_s: int = Field(default=600, ge=1, le=DAY_S)
    statement_timeout_s: int = Field(default=7200, ge=1, le=DAY_S)

    @field_validator("ca")
    @classmethod
    def _is_a_certificate(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if "PRIVATE KEY" in value:
            raise ValueError("it holds a private key; write the CA's certificate alone, and renew the key")
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=value)
        except (ssl.SSLError, TypeError, ValueError) as error:
            raise ValueError(
                f"no certificate ({error}); write the CA's PEM text, from -----BEGIN CERTIFICATE----- on"
            ) from None
        return value

    @model_validator(mode="after")
    def _has_a_use_for_its_ca(self) -> LivySettings:
        if self.ca is not None and self.scheme == "http":
            raise ValueError("ca verifies TLS, and scheme is http; remove ca, or set scheme to https")
        return self


class PipelineSettings(SettingsModel):
    """Overrides for one pipeline; a key left out keeps the deployment's value."""

    source: str | None = None
    keep_alive_s: int | None = Field(default=None, ge=0, le=DAY_S)
    ready_by: str | None = None
    emr: EmrSettings = EmrSettings()
    warehouse: WarehouseSettings = WarehouseSettings()

    @field_validator("ready_by")
    @classmethod
    def _is_a_time_of_day(cls, value: str | None) -> str | None:
        return None if value is None else str(ReadyBy.parse(value))

    @field_validator("source")
    @classmethod
    def _is_a_location(cls, value: str | None) -> str | None:
        return None if value is None else _without_slash(value)


# What people may be told of: a red run, what is left over, a window that is not loaded in time, checks that warn.
Occasion = Literal["red", "leftovers", "late", "warnings"]
_OCCASIONS: tuple[Occasion, ...] = ("red", "leftovers", "late")


class NotifierSettings(SettingsModel):
    """One of Airflow's notifiers, by the path of its class, and what it is told of.

    That the class is there, and is a notifier, only Airflow's own hosts can tell (`operators.notifiers`).
    """

    path: str = Field(alias="class", max_length=256)
    arguments: dict[str, Any] = Field(default_factory=dict)
    on: list[Occasion] = Field(default=list(_OCCASIONS), min_length=1)

    @field_validator("path")
    @classmethod
    def _is_the_path_of_a_class(cls, value: str) -> str:
        if not _CLASS_PATH.match(value):
            raise ValueError(
                f"{value!r:.100} is not the path of a class; write one such as "
                "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
            )
        return value


class NotifySettings(SettingsModel):
    """Who is told of failed runs, of the janitor's findings, and of late windows, besides the log.

    The topic is told by Mayfly itself, so also where there is no Airflow; of warnings a notifier alone is told.
    """

    sns_topic_arn: str | None = None
    notifiers: list[NotifierSettings] = Field(default_factory=list, max_length=20)


class MayflySettings(SettingsModel):
    """The Variable `mayfly`: one deployment. Names end in their unit: `_s` is seconds, `_gib` GiB."""

    deployment: str = Field(pattern=r"^[a-z][a-z0-9]{0,11}$")
    s3: S3Settings
    network: NetworkSettings
    emr: EmrSettings = EmrSettings()
    warehouse: WarehouseSettings = WarehouseSettings()
    livy: LivySettings = LivySettings()
    notify: NotifySettings = NotifySettings()
    lease_s: int = Field(default=1800, ge=60, le=DAY_S)
    keep_alive_s: int = Field(default=0, ge=0, le=DAY_S)
    max_age_s: int = Field(default=14400, ge=600, le=30 * DAY_S)
    poll_s: float = Field(default=20.0, ge=0.1, le=120)
    pipelines: dict[str, PipelineSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keep_alive_is_below_emr_idle_timeout(self) -> MayflySettings:
        if self.keep_alive_s >= self.emr.idle_timeout_s:
            raise ValueError(
                f"keep_alive_s ({self.keep_alive_s}) must be below emr.idle_timeout_s ({self.emr.idle_timeout_s}), "
                "or EMR terminates the cluster that is kept; lower the one or raise the other"
            )
        return self


class Settings(SettingsModel):
    """The content of all Variables: the deployment's settings or, after `for_pipeline`, those of one pipeline.

    `override_mistakes` are those of the overrides, by pipeline. A pipeline's part of the Variable is read by its own
    runs alone, so what is wrong there must keep neither another's clusters from being removed nor the janitor from
    looking after the others: it is an error once somebody asks for that pipeline's settings.
    """

    region: str
    credentials: AwsCredentials | None
    mayfly: MayflySettings
    override_mistakes: dict[str, list[str]] = Field(default_factory=dict)

    @property
    def overridden(self) -> list[str]:
        """The names below `pipelines`, whether or not their settings can be used."""
        return sorted({*self.mayfly.pipelines, *self.override_mistakes})

    def for_pipeline(self, name: str) -> Settings:
        """These settings with the pipeline's overrides merged in.

        Raises SettingsError where the result is not valid.
        """
        mistakes: list[str] = []
        settings = self._merge(name, mistakes)
        if mistakes:
            raise _error(mistakes)
        return settings

    def check_overrides(self) -> None:
        """Raise SettingsError that lists the mistakes of every pipeline's overrides."""
        mistakes: list[str] = []
        for name in self.overridden:
            self._merge(name, mistakes)
        if mistakes:
            raise _error(mistakes)

    def _merge(self, name: str, mistakes: list[str]) -> Settings:
        """What `for_pipeline` returns; where there are mistakes, these settings as they are."""
        mistakes += self.override_mistakes.get(name, [])
        override = self.mayfly.pipelines.get(name)
        if override is None:
            return self
        merged = self.mayfly.model_dump(exclude_unset=True, by_alias=True)
        own = override.model_dump(exclude_unset=True, by_alias=True)
        for part in ("emr", "warehouse"):
            merged[part] = {**merged.get(part, {}), **own.get(part, {})}
        if override.source is not None:
            merged["s3"]["source"] = override.source
        if override.keep_alive_s is not None:
            merged["keep_alive_s"] = override.keep_alive_s
        mayfly = validate(MayflySettings, merged, f"mayfly (pipelines.{name} merged in)", mistakes)
        return self if mayfly is None else self.model_copy(update={"mayfly": mayfly})

    @property
    def ready_by(self) -> dict[str, ReadyBy]:
        """By pipeline, when a day is to be loaded; of those whose settings can be used, and that say so."""
        said = {name: override.ready_by for name, override in self.mayfly.pipelines.items()}
        return {name: ReadyBy.parse(text) for name, text in said.items() if text is not None}

    def hardware(self, pipeline: Pipeline) -> Hardware:
        """The pipeline's declared hardware, with the values that the Variable sets."""
        return self.hardware_over(pipeline.hardware)

    def hardware_over(self, own: Hardware) -> Hardware:
        """The values that the Variable sets; `own` has those that it leaves out."""
        emr, warehouse = self.mayfly.emr, self.mayfly.warehouse
        return Hardware(
            master_type=emr.master_type or own.master_type,
            core_type=emr.core_type or own.core_type,
            core_count=emr.core_count or own.core_count,
            ebs_gib=emr.ebs_gib or own.ebs_gib,
            warehouse_node_type=warehouse.node_type or own.warehouse_node_type,
            warehouse_nodes=warehouse.nodes or own.warehouse_nodes,
        )


def parse_settings(variables: Mapping[str, str | None]) -> Settings:
    """Settings from the text of each of `VARIABLES`, by name; None is a Variable that is not set.

    Raises SettingsError that lists every mistake of every Variable; it never holds a secret's value.
    """
    mistakes: list[str] = []
    region = variables.get("aws_region")
    if not region:
        mistakes.append("aws_region: the Variable is missing; set it to a region, such as us-east-1")
    elif not _REGION.match(region):
        mistakes.append(f"aws_region: {region!r} is not a region's name; write one such as us-east-1")
    credentials = mayfly = None
    override_mistakes: dict[str, list[str]] = {}
    if variables.get("aws_credentials"):
        value = _json(variables, "aws_credentials", mistakes)
        if value is not None:
            credentials = validate(AwsCredentials, value, "aws_credentials", mistakes)
    if not variables.get("mayfly"):
        mistakes.append("mayfly: the Variable is missing; start from variables.example.json")
    else:
        value = _json(variables, "mayfly", mistakes)
        if value is not None:
            override_mistakes = _take_overrides(value, mistakes)
            mayfly = validate(MayflySettings, value, "mayfly", mistakes)
    if region is None or mayfly is None or mistakes:
        raise _error([*mistakes, *(one for found in override_mistakes.values() for one in found)])
    return Settings(
        region=region, credentials=credentials, mayfly=mayfly, override_mistakes=override_mistakes
    )


def _take_overrides(value: dict[str, Any], mistakes: list[str]) -> dict[str, list[str]]:
    """Leave in the Variable `mayfly` the overrides that are valid, as models; the others' mistakes, by pipeline.

    A name that no pipeline can have is the Variable's own mistake: nobody would ever read what is below it.
    """
    overrides = value.get("pipelines")
    if not isinstance(overrides, dict):
        return {}
    valid: dict[str, PipelineSettings] = {}
    wrong: dict[str, list[str]] = {}
    for name, override in overrides.items():
        found: list[str] = []
        if not PIPELINE_NAME.match(name):
            mistakes.append(
                f"mayfly: {format_key('pipelines', name)}: no pipeline can have this name; write that of its DAG "
                "file, of 1 to 16 lower-case letters and digits"
            )
        elif settings := validate(PipelineSettings, override, "mayfly", found, ("pipelines", name)):
            valid[name] = settings
        else:
            wrong[name] = found
    value["pipelines"] = valid
    return wrong


def mistakes_in_hardware(hardware: Hardware) -> list[str]:
    """What the Variable `mayfly` would refuse of these values, by their names in the declaration."""
    mistakes: list[str] = []
    emr = {
        "master_type": hardware.master_type,
        "core_type": hardware.core_type,
        "core_count": hardware.core_count,
        "ebs_gib": hardware.ebs_gib,
    }
    warehouse = {"node_type": hardware.warehouse_node_type, "nodes": hardware.warehouse_nodes}
    validate(EmrSettings, emr, "hardware", mistakes)
    of_warehouse: list[str] = []
    validate(WarehouseSettings, warehouse, "hardware", of_warehouse)
    return mistakes + [one.replace("hardware: ", "hardware: warehouse_", 1) for one in of_warehouse]


def _json(variables: Mapping[str, str | None], name: str, mistakes: list[str]) -> dict[str, Any] | None:
    try:
        value = load_json(
            variables[name] or "", lambda cause: SettingsError(f"{name}: {cause}; correct it there")
        )
    except SettingsError as error:
        mistakes.append(error.message)
        return None
    if not isinstance(value, dict):
        mistakes.append(
            f'{name}: a JSON object is expected, {describe(value)} was found; write {{"key": "value", …}}'
        )
        return None
    return value


def _error(mistakes: list[str]) -> SettingsError:
    listed = mistakes[:_LISTED]
    if len(mistakes) > _LISTED:
        listed.append(f"{len(mistakes) - _LISTED} further mistakes; correct these first")
    lines = "\n".join(f"- {mistake}" for mistake in listed)
    return SettingsError(f"The Airflow Variables cannot be used:\n{lines}")
