-- Says which output the table holds: https://docs.aws.amazon.com/redshift/latest/dg/r_COMMENT.html
COMMENT ON TABLE {{ schema | ident }}.{{ table | ident }} IS {{ manifest | literal }};
