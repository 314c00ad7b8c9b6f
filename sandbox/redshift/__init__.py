"""A stand-in for one Amazon Redshift cluster: a front that speaks Redshift's dialect, on a private PostgreSQL.

`python -m sandbox.redshift` is one cluster. A statement goes through `dialect` (refuse, rewrite) and on to
PostgreSQL; `copy_*` loads from S3. Only the dialect that Mayfly's templates and tests use is spoken; the rest
is refused with SQLSTATE 0A000 and the name of what is missing, never passed on in silence.
"""
