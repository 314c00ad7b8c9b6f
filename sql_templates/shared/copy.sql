-- Columns match by position: https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-columnar.html
COPY {{ schema | ident }}.{{ table | ident }}
FROM {{ manifest_url | literal }}
IAM_ROLE {{ role_arn | literal }}
FORMAT AS PARQUET
MANIFEST;
