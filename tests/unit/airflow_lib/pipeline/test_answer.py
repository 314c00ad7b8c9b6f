"""Answers."""

from datetime import UTC, datetime

from airflow_lib.pipeline import Answer, Pipeline

PIPELINE = Pipeline(
    name="birds",
    start=datetime(2020, 1, 1, tzinfo=UTC),
    jobs=(),
    tables=(),
    answers=(Answer("rarest", table=True), Answer("loudest")),
)


def test_an_answer_is_a_query_unless_it_is_declared_a_table():
    assert [answer.name for answer in PIPELINE.answer_tables] == ["rarest"]
    assert PIPELINE.answer("loudest") == Answer("loudest", table=False, checks=())
