"""Columns of random values, determined by a seed and the row number.

Each value is a hash of (seed, number of the draw, row). So the rows do not depend on the chunks in which they are
made, on the machine, or on the version of a random number library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64 - 1


class Draws:
    """Random columns for the rows `first` to `first + count` (exclusive); each call is a new draw."""

    def __init__(self, seed: int, first: int, count: int) -> None:
        self.first, self.count = first, count
        self._seed, self._draw = seed, 0

    def uniform(self) -> pl.Series:
        """Doubles in [0, 1)."""
        self._draw += 1
        key = _mixed_int(_mixed_int(self._seed) + self._draw)
        row = pl.int_range(self.first, self.first + self.count, dtype=pl.UInt64)
        word = _mixed(row * _word(_GOLDEN) + _word(key))
        return pl.select((word // 2**11).cast(pl.Float64) / 2.0**53).to_series()

    def integers(self, low: int, high: int) -> pl.Series:
        """Integers from `low` to `high` (exclusive)."""
        return (self.uniform() * (high - low)).floor().cast(pl.Int64) + low

    def normal(self, mean: float, deviation: float) -> pl.Series:
        """Normally distributed doubles (Box-Muller transform)."""
        radius = ((1 - self.uniform()).log() * -2).sqrt()
        return radius * (self.uniform() * 2 * math.pi).cos() * deviation + mean

    def erlang(self, mean: float) -> pl.Series:
        """Doubles above 0 with a long tail: Erlang-distributed, the sum of two exponential variables."""
        return ((1 - self.uniform()).log() + (1 - self.uniform()).log()) * (-mean / 2)

    def with_probability(self, share: float) -> pl.Series:
        """True with the probability `share`."""
        return self.uniform() < share

    def indices(self, weights: Sequence[float]) -> pl.Series:
        """For each row an index into `weights`, drawn by weight."""
        bounds = pl.Series(weights, dtype=pl.Float64).cum_sum() / sum(weights)
        return bounds.search_sorted(self.uniform(), side="right").clip(0, len(weights) - 1)

    def texts(
        self, weighted: Sequence[tuple[str, float]], *, blank: float = 0.0, absent: pl.Series | None = None
    ) -> pl.Series:
        """For each row one of the texts, drawn by weight; null with the probability `blank`, or where `absent`."""
        indices = self.indices([weight for _, weight in weighted])
        missing = self.with_probability(blank) if absent is None else absent
        return without(pl.Series([text for text, _ in weighted]).gather(indices), missing)


def without(values: pl.Series, missing: pl.Series) -> pl.Series:
    """`values` with nulls where `missing` is true."""
    return pl.select(pl.when(~missing).then(values)).to_series()


def _word(value: int) -> pl.Expr:
    return pl.lit(value, dtype=pl.UInt64)


def _mixed(word: pl.Expr) -> pl.Expr:
    """splitmix64's finaliser: every bit of the result depends on every bit of `word`."""
    word = (word ^ (word // 2**30)) * _word(0xBF58476D1CE4E5B9)
    word = (word ^ (word // 2**27)) * _word(0x94D049BB133111EB)
    return word ^ (word // 2**31)


def _mixed_int(value: int) -> int:
    value = (value + _GOLDEN) & _WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD
    return value ^ (value >> 31)
