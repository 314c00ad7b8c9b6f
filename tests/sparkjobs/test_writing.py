from __future__ import annotations

from sparkjobs.writing import write_rejects


def test_rejected_rows_are_one_file_but_are_looked_for_by_as_many_tasks_as_the_source_has(spark, tmp_path):
    context, folder = spark.sparkContext, tmp_path / "rejected"
    context.setJobGroup("rejects", "rejects")
    rows = spark.range(0, 1000, numPartitions=5).where("id % 100 = 0")
    write_rejects(rows, {"age": 10}, folder.as_uri())
    tracker = context.statusTracker()
    stages = [
        stage for job in tracker.getJobIdsForGroup("rejects") for stage in tracker.getJobInfo(job).stageIds
    ]
    assert max(tracker.getStageInfo(stage).numTasks for stage in stages) == 5
    assert len(list(folder.glob("*.parquet"))) == 1
    assert spark.read.parquet(folder.as_uri()).count() == 10
