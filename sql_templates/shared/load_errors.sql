-- Of this connection alone, the latest first. The view serves provisioned and serverless warehouses alike:
-- https://docs.aws.amazon.com/redshift/latest/dg/SYS_LOAD_ERROR_DETAIL.html
SELECT file_name, line_number, column_name, column_type, error_code, error_message
FROM sys_load_error_detail
WHERE session_id = PG_BACKEND_PID()
ORDER BY start_time DESC
LIMIT 5;
