"""A simulator of one Amazon Redshift cluster: a proxy that translates Redshift's dialect for a private PostgreSQL.

`python -m sandbox.redshift` is one cluster. `dialect` validates and rewrites each statement before PostgreSQL runs
it; `copy_*` loads from S3. Only what Mayfly's templates and tests use is supported. Anything else is refused with
SQLSTATE 0A000 and the name of what is missing; it is never passed on to PostgreSQL unchecked.
"""
