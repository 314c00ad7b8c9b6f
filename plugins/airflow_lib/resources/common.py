"""What the resource files share: telling AWS's refusals, trying everything, and what "ours" looks like.

Which calls make, read and delete a thing is in the thing's own file. Nothing here waits: `NotReady` tells the
caller's poll loop to ask again. Throttling, time-outs and AWS's own faults pass through as botocore raised
them, for the caller's patience to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from airflow_lib.errors import NotReady as NotReady
from airflow_lib.errors import ResourceError, TeardownError
from airflow_lib.naming import TAG_ENVIRONMENT, TAG_EXPIRES_AT, TAG_GENERATION, Environment, generation_of
from airflow_lib.patience import is_transient

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_MENDS = {
    "LimitExceeded": "Raise the account's quota, or remove what is no longer needed.",
    "InvalidParameterValue": "Check the settings in the Airflow Variable `mayfly`.",
    "ValidationException": "Check the settings in the Airflow Variable `mayfly`.",
}
_DENIED_MEND = (
    "Grant the action to the principal that Airflow runs as: docs/iam-principal-policy.json lists it."
)


@dataclass(frozen=True)
class Owned:
    """One thing in the account that bears our name and our tag."""

    kind: str
    id: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    state: str = ""

    @property
    def expires_at(self) -> datetime | None:
        """When it should be gone (UTC), from its birth tag."""
        value = self.tags.get(TAG_EXPIRES_AT)
        return datetime.fromisoformat(value) if value else None

    def generation(self, environment: Environment) -> int | None:
        return generation_of(environment, self.name)

    def __str__(self) -> str:
        state = f", {self.state}" if self.state else ""
        return f"{self.kind} {self.name}" + (f" ({self.id}{state})" if self.id != self.name else state)


def as_tag_list(tags: Mapping[str, str]) -> list[Any]:
    """Tags in the shape that every AWS API takes."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def as_tags(tag_list: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Tags out of the shape that every AWS API answers."""
    return {tag["Key"]: tag.get("Value", "") for tag in tag_list or ()}


def same_birth(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a thing was tagged for this environment and generation; when it expires is its own matter."""
    return all(tags.get(key) == wanted.get(key) for key in (TAG_ENVIRONMENT, TAG_GENERATION))


def code_of(error: ClientError) -> str:
    """AWS's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """AWS's error message."""
    return str(error.response.get("Error", {}).get("Message", ""))


def refusal(doing: str, error: ClientError) -> ResourceError:
    """What to raise when AWS refused for good: the thing, AWS's words, the mend."""
    code = code_of(error)
    mend = _DENIED_MEND if code in _DENIED else _MENDS.get(code, "")
    return ResourceError(f"Could not {doing}: AWS answered {code}: {message_of(error)}. {mend}".rstrip())


@contextmanager
def asking(doing: str, *, ignoring: Container[str] = (), again: Container[str] = ()) -> Iterator[None]:
    """Run AWS calls, and tell their refusals in our words.

    Error codes in `ignoring` end the block in silence; those in `again` become NotReady; every other refusal
    becomes ResourceError. What is transient passes through unchanged.
    """
    try:
        yield
    except ClientError as error:
        if code_of(error) in ignoring:
            return
        if code_of(error) in again:
            raise NotReady(f"Could not {doing} yet: {code_of(error)}: {message_of(error)}") from error
        if is_transient(error):
            raise
        raise refusal(doing, error) from error


def foreign(kind: str, name: str, environment: Environment) -> str:
    """The message of a ForeignResource."""
    return (
        f"The {kind} {name} exists without our tag {TAG_ENVIRONMENT}={environment.name}, so it is not ours "
        "to use or to delete. If nobody needs it, remove it by hand; else choose another `deployment` in the "
        "Airflow Variable `mayfly`."
    )


def attempt_all(actions: Iterable[Callable[[], None]]) -> None:
    """Try every action, whatever the others do; then tell what failed.

    Raises NotReady where the only trouble is that some must be called again, else TeardownError naming all.
    Errors that are not ours (transient ones, bugs) are raised after the rest was tried.
    """
    pending: list[NotReady] = []
    failed: list[ResourceError] = []
    unexpected: list[ClientError] = []
    for action in actions:
        try:
            action()
        except NotReady as error:
            pending.append(error)
        except ResourceError as error:
            failed.append(error)
        except ClientError as error:
            unexpected.append(error)
    if unexpected:
        raise unexpected[0]
    if failed:
        raise TeardownError("\n".join(f"- {error.message}" for error in (*failed, *pending)))
    if pending:
        raise NotReady("; ".join(error.message for error in pending))
