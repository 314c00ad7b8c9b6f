"""Which jobs of a pipeline wait for which: a job begins once those whose outputs it reads have ended."""

from __future__ import annotations

from airflow_lib.pipeline import Pipeline, SparkJob


def most_jobs_at_once(pipeline: Pipeline) -> int:
    """How many jobs of a run can be under way at the same time, at most: a job waits for those whose outputs it reads.

    That is the largest set of jobs of which none comes before another, directly or not. By Dilworth's theorem it has as
    many as there are chains that are needed to hold every job, which is the number of jobs less that of a maximum
    matching of jobs with jobs that come before them (Kuhn's algorithm).
    https://en.wikipedia.org/wiki/Dilworth%27s_theorem
    """
    before = {job.name: jobs_before(pipeline, job) for job in pipeline.jobs}
    follower: dict[str, str] = {}

    def find_match(name: str, tried: set[str]) -> bool:
        for other in sorted(before[name] - tried):
            tried.add(other)
            if other not in follower or find_match(follower[other], tried):
                follower[other] = name
                return True
        return False

    matched = sum(find_match(job.name, set()) for job in pipeline.jobs)
    return max(1, len(pipeline.jobs) - matched)


def jobs_before(pipeline: Pipeline, job: SparkJob) -> set[str]:
    """The jobs that come before it, directly or not; in a circle, itself among them."""
    found: set[str] = set()
    to_see = list(pipeline.upstream(job))
    while to_see:
        one = to_see.pop()
        if one.name not in found:
            found.add(one.name)
            to_see += pipeline.upstream(one)
    return found
