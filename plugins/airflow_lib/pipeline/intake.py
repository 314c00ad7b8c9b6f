"""What a run takes in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Standing:
    """The files that stand under the sources' names when the run begins: each run takes what is there then.

    A source is a file, a folder (a trailing `/`), or a pattern, in which `*` stands for any text and `?` for one
    character, within one level of the path: `user*.csv`, `2016/part-*.parquet`. What is there already is neither moved
    nor deleted, and a job's output is computed again only where its files have changed.
    A run that does not find them is red (`may_be_empty`): they are expected to stand there.
    """

    may_be_empty: ClassVar[bool] = False


Intake = Standing
