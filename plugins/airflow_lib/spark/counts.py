"""How many rows a job read, wrote and rejected, as it says itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from airflow_lib.errors import OutputError, did_you_mean

_HINT = "The job's `run` must return them."


@dataclass(frozen=True)
class Counts:
    """How many rows a job read, wrote (by output), and rejected (by reason); `notes` are its other counts, by name.

    `judged_over` has that of which a count is a share, where that is not `read`:

    - of a reason, all rows of the source: those that lie in no window, because their date cannot be read, are rejected
      in every window. `read` counts them, too.
    - of a note of unreadable values, the values that are not blank.
    """

    read: int
    written: dict[str, int]
    rejected: dict[str, int] = field(default_factory=dict)
    judged_over: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: Any, outputs: Collection[str]) -> Counts:
        """Counts from a job's answer or a manifest; other keys are left out.

        Of a job with one output `written` may be the number alone. Raises OutputError where a count is missing or is
        not a whole number ≥ 0, or `written` does not name just the `outputs`.
        """
        if not isinstance(value, dict):
            raise OutputError(f"A job's counts must be a JSON object; found {value!r}. {_HINT}")
        return cls(
            read=_parse_count(value, "read"),
            written=_parse_written(value, outputs),
            rejected=_parse_counts(value, "rejected"),
            judged_over=_parse_counts(value, "judged_over"),
            notes=_parse_counts(value, "notes"),
        )

    @property
    def rows_written(self) -> int:
        """The rows of all outputs."""
        return sum(self.written.values())


def _parse_written(value: dict[str, Any], outputs: Collection[str]) -> dict[str, int]:
    if not isinstance(value.get("written"), dict):
        if len(outputs) == 1:
            return {output: _parse_count(value, "written") for output in outputs}
        raise OutputError(
            f"A job's count 'written' must say the rows of each of its outputs {', '.join(outputs)}; found "
            f"{value.get('written')!r}. {_HINT}"
        )
    counts = _parse_counts(value, "written")
    if unknown := sorted(counts.keys() - set(outputs)):
        raise OutputError(
            f"A job's counts 'written' name {unknown[0]!r}, which is no output of it: these are {', '.join(outputs)}"
            f"{did_you_mean(unknown[0], outputs)}. Declare it in `outputs`, or leave it out."
        )
    if missing := [output for output in outputs if output not in counts]:
        raise OutputError(
            f"A job's counts 'written' lack its output {missing[0]!r}: a number for each of {', '.join(outputs)} was "
            f"expected, 0 where it has no row. {_HINT}"
        )
    return {output: counts[output] for output in outputs}


def _parse_count(value: dict[str, Any], name: str) -> int:
    count = value.get(name)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise OutputError(f"A job's count {name!r} must be a whole number ≥ 0; found {count!r}. {_HINT}")
    return count


def _parse_counts(value: dict[str, Any], name: str) -> dict[str, int]:
    counts = value.get(name) or {}
    if not isinstance(counts, dict):
        raise OutputError(
            f"A job's counts {name!r} must be a JSON object of whole numbers; found {counts!r}. {_HINT}"
        )
    return {str(key): _parse_count(counts, key) for key in counts}
