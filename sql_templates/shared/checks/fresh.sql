-- One row with the newest value and the warehouse's time, both in UTC (shared/session.sql), where it is too old or there
-- is none, else none: https://docs.aws.amazon.com/redshift/latest/dg/r_GETDATE.html
SELECT found.newest, found.asked_at
FROM (SELECT MAX({{ column | ident }}) AS newest, GETDATE() AS asked_at FROM {{ table | ident }}) AS found
WHERE found.newest IS NULL OR found.newest < DATEADD(second, -{{ max_age_s | literal }}, found.asked_at);
