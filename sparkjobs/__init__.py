"""The Spark side: one file a job, run in a Livy session of its own.

`<pipeline>/<job>.py:run(spark, inputs, targets, rejected, window)` writes Parquet and returns counts.
`inputs` has one list of URIs for each declared source: of files those of the run's batch, which alone are read, of
another job's output the folder that it wrote (`reading.read_output`). `targets` has the folder to write to by output,
`rejected` is that of the rejected rows, as they came; folders end in `/`.
Counts are of the rows read, and each of them is written or rejected by a reason: a job tags the rows that it leaves
out (`writing.first_reason`) rather than filter them, so that an empty window is not taken for an empty file. Reasons
and notes that are a share of something else than the rows read name it in `judged_over`.
The Parquet has the columns of the staging table, in its order: COPY takes them by position, whatever their names.
`window` is None unless the job is windowed. Then it is a pair of ISO texts, of which the first is included and the
second is not: two dates (`2016-04-01`), or two times in UTC (`2016-04-01T10:20:00+00:00`) where the pipeline's windows
are instants. A job that is partitioned by a day reads its whole source, and writes by `writing.write_by_day`.
Every session is in UTC: Spark's own zone, Java's and Python's. A time is written as Spark's `timestamp`, in the Parquet
type that is Spark's default (INT96).
This package travels to the cluster as a zip: it imports nothing but itself and PySpark, reads no file that
lies beside it, and keeps to the syntax of the cluster's Python 3.9.
"""
