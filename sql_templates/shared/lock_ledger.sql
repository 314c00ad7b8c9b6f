-- First in its transaction: LOCK takes no snapshot, so what follows sees all that the load before us committed.
-- https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
LOCK TABLE mayfly_load_ledger;
