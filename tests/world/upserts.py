"""A small pipeline without windows, which upserts: reviews of books, whose source is replaced by its next version.

A version lacks some reviews of the one before and has some of its own; of those in both, either may be the newer one.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow_lib.pipeline import (
    Answer,
    Append,
    Complete,
    Newest,
    NotNull,
    Pipeline,
    Rebuild,
    References,
    RowCount,
    SparkJob,
    Staging,
    Table,
    Unique,
)
from tests.world.pipeline import Row
from tests.world.spark import Inputs, Targets, get, write_dataset

PIPELINE = Pipeline(
    name="immigration",
    start=datetime(2016, 4, 1, tzinfo=UTC),
    jobs=(SparkJob("reviews", sources=("reviews.csv",)),),
    tables=(
        Staging("staging_reviews", output="reviews"),
        Table("popular", Rebuild()),
        Table("reviews", Newest(by="changed_on"), key=("review",)),
        Table("books", Newest(), key=("book",), prune=True),
        Table("authors", Newest(), key=("author",), prune=True),
        Table("review_log", Append()),
    ),
    checks=(
        NotNull("reviews", ("review", "book")),
        Unique("reviews", ("review",)),
        Unique("books", ("book",)),
        References("reviews", "book", "books", "book"),
        References("books", "author", "authors", "author"),
        Complete("reviews", staging="staging_reviews"),
    ),
    answers=(
        Answer("best_books", table=True, checks=(RowCount("best_books", at_least=1),)),
        Answer("reviews_logged"),
    ),
)
VERSIONS = (1, 2, 3, 4)

_DAY = date(2016, 4, 1)


def rows_of(version: int) -> list[Row]:
    """What the job writes of that version of the source, in its staging table's order of columns."""
    rows = [
        _review(review, version, (review * 7 + version * 3) % 10) for review in range(version, version + 6)
    ]
    # Of two reviews a second row: of the same day, and of no known day.
    return [*rows, {**rows[1], "stars": 0}, {**rows[2], "stars": 5, "changed_on": None}]


def _review(review: int, version: int, day: int) -> Row:
    book = review % 3 + version % 2 * 10
    return {
        "review": review,
        "book": book,
        "title": f"Book {book}",
        "author": f"Author {book // 10}",
        "stars": (review + version) % 5 + 1,
        "changed_on": (_DAY + timedelta(days=day)).isoformat(),
    }


def write_reviews(inputs: Inputs, targets: Targets, rejected: str, window: None) -> dict[str, Any]:
    """The stand-in job: the source's content is the number of its version, and 1 where it is none."""
    content = get(inputs[0][0]) or b""
    rows = rows_of(int(content) if content.isdigit() else 1)
    write_dataset(targets["reviews"], rows)
    return {"read": len(rows), "written": len(rows), "rejected": {}}


def tables_of(*versions: int) -> dict[str, list[tuple[Any, ...]]]:
    """What `World.tables` returns once these versions are loaded, however often and in whatever order."""
    loaded = [row for version in sorted(set(versions)) for row in rows_of(version)]
    newest: dict[int, Row] = {}
    for row in sorted(loaded, key=_rank):
        newest[row["review"]] = row
    reviews = [(row["review"], row["book"], row["stars"], row["changed_on"]) for row in newest.values()]
    used = {row["book"] for row in newest.values()}
    tables = {
        "popular": [
            (book, len(stars), max(stars))
            for book in used
            for stars in [[row["stars"] for row in newest.values() if row["book"] == book]]
        ],
        "reviews": reviews,
        "books": [(book, f"Book {book}", f"Author {book // 10}") for book in used],
        "authors": list({(f"Author {book // 10}",) for book in used}),
        "review_log": [(row["review"], row["stars"], row["changed_on"]) for row in loaded],
    }
    return {name: sorted(rows, key=repr) for name, rows in tables.items()}


def published_of(*versions: int) -> dict[str, list[list[str]]]:
    """What `World.published` returns once these versions are loaded."""
    tables = tables_of(*versions)
    best = sorted(tables["popular"], key=lambda one: (-one[2], one[0]))
    logged = Counter(review for review, *_ in tables["review_log"])
    rows = {"best_books": best, "reviews_logged": sorted(logged.items())}
    return {
        f"{name}/{kind}/{name}_000.{kind}": [[str(value) for value in row] for row in rows[name]]
        for name in rows
        for kind in ("csv", "parquet")
    }


def _rank(row: Row) -> tuple[Any, ...]:
    """The rule of `Newest`: by its column, nulls last, then the others in the order of the table."""
    return (row["changed_on"] or "", row["book"], row["stars"])
