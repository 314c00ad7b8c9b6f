"""What a check says, and what becomes of a check that AWS does not let us make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from airflow_lib.aws.causes import Cause, cause_of
from airflow_lib.aws.errors import code_of, is_transient, message_of
from airflow_lib.errors import MayflyError


class Standing(StrEnum):
    """`UNKNOWN`: it cannot be known, so it is no reason to refuse anything."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing and how it stands; where it is wrong, the message ends with what to do."""

    subject: str
    standing: Standing
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}"


def ok(subject: str, message: str) -> Finding:
    return Finding(subject, Standing.OK, message)


def wrong(subject: str, message: str) -> Finding:
    return Finding(subject, Standing.WRONG, message)


def unknown(subject: str, message: str) -> Finding:
    return Finding(subject, Standing.UNKNOWN, message)


def examine(subject: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What the check finds. Where AWS does not answer what it asks, its last finding is `unknown`, and says why.

    An error of ours is `wrong`, unless AWS's refusal to be asked is its cause.
    """
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except ClientError as error:
        findings.append(unknown(subject, format_refusal(error)))
    except BotoCoreError as error:
        findings.append(unknown(subject, f"AWS gives no answer: {error}"))
    except MayflyError as error:
        findings.append(_judge(subject, error))
    except (
        LookupError,
        TypeError,
        ValueError,
    ) as error:  # an answer without what AWS documents, or an empty one
        findings.append(unknown(subject, f"AWS's answer cannot be read ({type(error).__name__}: {error})"))
    return findings


def format_refusal(error: ClientError) -> str:
    """Why AWS does not say: its words, and which right would change that."""
    told = f"AWS answered {code_of(error)} to {error.operation_name}: {message_of(error)}"
    if _is_denied(error):
        told = f"{told.rstrip('.')}. Grant this right (docs/iam-doctor-policy.json, docs/iam-principal-policy.json)"
    return told


def _judge(subject: str, error: MayflyError) -> Finding:
    cause = error.__cause__
    if isinstance(cause, ClientError) and (_is_denied(cause) or is_transient(cause)):
        return unknown(subject, format_refusal(cause))
    return wrong(subject, error.message)


def _is_denied(error: ClientError) -> bool:
    return cause_of(code_of(error), message_of(error)) in (Cause.DENIED, Cause.BOUNDARY)
