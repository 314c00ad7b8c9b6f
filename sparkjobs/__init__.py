"""The Spark side: one file a dataset, run in a Livy session of its own.

`<pipeline>/<job>.py:run(spark, inputs, target, rejected, window)` writes Parquet and returns counts.
Counts are of the rows read, and each of them is written or rejected by a reason: a job tags the rows that it leaves
out (`writing.first_reason`) rather than filter them, so that an empty window is not taken for an empty file. Reasons
and notes that are a share of something else than the rows read name it in `judged_over`.
The Parquet has the columns of the staging table, in its order: COPY takes them by position, whatever their names.
`window` is a pair of ISO texts, of which the first is included and the second is not: two dates (`2016-04-01`), or two
times in UTC (`2016-04-01T10:20:00+00:00`) where the pipeline's windows are instants.
Every session is in UTC: Spark's own zone, Java's and Python's. A time is written as Spark's `timestamp`, in the Parquet
type that is Spark's default (INT96).
This package travels to the cluster as a zip: it imports nothing but itself and PySpark, reads no file that
lies beside it, and keeps to the syntax of the cluster's Python 3.9.
"""
