"""The Spark side: one file a dataset, run in a Livy session of its own.

`<pipeline>/<job>.py:run(spark, inputs, target, rejected, window)` writes Parquet and returns counts.
This package travels to the cluster as a zip: it imports nothing but itself and PySpark, reads no file that
lies beside it, and keeps to the syntax of the cluster's Python 3.9.
"""
