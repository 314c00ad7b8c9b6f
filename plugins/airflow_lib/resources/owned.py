"""What is ours: one thing in the account as every list shows it, its tags, and the errors about what is not ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from airflow_lib.errors import (
    CredentialsRefused,
    ForeignResource,
    NotReady,
    ResourceError,
    TeardownError,
    UnknownState,
)
from airflow_lib.naming import TAG_ENVIRONMENT, TAG_EXPIRES_AT, TAG_GENERATION, Environment, is_ours


@dataclass(frozen=True)
class Owned:
    """One thing in the account that has our name and our tag."""

    kind: str
    id: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    state: str = ""

    @property
    def expires_at(self) -> datetime | None:
        """When it should be gone, from its birth tag; None where the tag is absent or holds no time with a zone."""
        try:
            time = datetime.fromisoformat(self.tags.get(TAG_EXPIRES_AT, ""))
        except ValueError:
            return None
        return None if time.tzinfo is None else time

    def __str__(self) -> str:
        state = f", {self.state}" if self.state else ""
        return f"{self.kind} {self.name}" + (f" ({self.id}{state})" if self.id != self.name else state)


def as_tag_list(tags: Mapping[str, str]) -> list[Any]:
    """Tags in the shape that every AWS API takes."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def as_tags(tag_list: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Tags out of the shape that every AWS API answers; one without a key is none, one without a value is empty."""
    return {tag["Key"]: tag.get("Value") or "" for tag in tag_list or () if tag.get("Key")}


def same_generation(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a thing was tagged for this environment and generation; its expiry may differ."""
    return all(tags.get(key) == wanted.get(key) for key in (TAG_ENVIRONMENT, TAG_GENERATION))


def foreign(kind: str, name: str, environment: Environment) -> ForeignResource:
    """The error to raise where a name of ours is taken by what does not bear our tag."""
    return ForeignResource(
        f"The {kind} {name} exists without our tag {TAG_ENVIRONMENT}={environment.name}, so it is not ours "
        "to use or to delete. If nobody needs it, remove it by hand; else choose another `deployment` in the "
        "Airflow Variable `mayfly`."
    )


def check_ours(kind: str, name: str, tags: Mapping[str, str], environment: Environment) -> None:
    """Raise ForeignResource where a thing does not bear our name and our tag."""
    if not is_ours(environment, name, tags):
        raise foreign(kind, name, environment)


def check_known(thing: str, state: str, known: type[StrEnum], console: str) -> None:
    """Raise UnknownState for a state that the enum of a kind does not have.

    For whoever waits until a thing is ready, and for nobody else: what must go goes whatever its state is called.
    """
    if state not in set(known):
        raise UnknownState(
            f"{thing} is {state!r}, a state that this version does not know. "
            f"Look at it in the {console} console, then update Mayfly."
        )


def attempt_all(actions: Iterable[Callable[[], None]]) -> None:
    """Try every action, whatever the others do; then raise what failed.

    Raises NotReady where the only trouble is that some must be called again, else TeardownError naming all.
    What is none of ours (throttling, a broken connection, a bug) is raised after the rest was tried.
    """
    pending: list[NotReady] = []
    failed: list[ResourceError] = []
    unexpected: list[Exception] = []
    for action in actions:
        try:
            action()
        except NotReady as error:
            pending.append(error)
        except CredentialsRefused:
            raise  # nothing else could be asked for, either
        except ResourceError as error:
            failed.append(error)
        except Exception as error:  # noqa: BLE001  whatever it is, the others are tried, and it is raised below
            unexpected.append(error)
    if unexpected:
        raise unexpected[0]
    if failed:
        raise TeardownError("\n".join(f"- {error.message}" for error in (*failed, *pending)))
    if pending:
        raise NotReady("; ".join(error.message for error in pending))
