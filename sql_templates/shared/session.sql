-- The same session whatever the host's and the database user's settings are:
-- https://docs.aws.amazon.com/redshift/latest/dg/r_timezone_config.html
-- https://docs.aws.amazon.com/redshift/latest/dg/r_statement_timeout.html (milliseconds; waiting in a queue counts)
SET timezone TO 'UTC';
SET statement_timeout TO {{ timeout_ms | literal }};
