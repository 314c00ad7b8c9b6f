-- One file, <prefix>000.parquet, up to 6.2 GB; none where there is no row.
-- https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html
UNLOAD ({{ select | literal }})
TO {{ prefix | literal }}
IAM_ROLE {{ role_arn | literal }}
FORMAT AS PARQUET
PARALLEL OFF
ALLOWOVERWRITE;
