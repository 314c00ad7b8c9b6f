-- What this session's COPY could not load, the latest first:
-- https://docs.aws.amazon.com/redshift/latest/dg/r_STL_LOAD_ERRORS.html
SELECT filename, line_number, colname, type, err_code, err_reason
FROM stl_load_errors
WHERE session = PG_BACKEND_PID()
ORDER BY starttime DESC
LIMIT 5;
