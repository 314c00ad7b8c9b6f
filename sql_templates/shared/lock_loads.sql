-- First in its transaction: LOCK takes no snapshot, so the statements after it see all that earlier loads committed.
-- https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
LOCK TABLE mayfly_load_lock;
