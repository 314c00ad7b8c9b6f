-- The load ledger: one row for each run, written in the transaction that loads the run's window.
-- Its lock makes loads run one after the other; a run's row shows that its load was committed.
-- DISTSTYLE ALL: only a few rows. SORTKEY loaded_at: it is read by time.
CREATE TABLE IF NOT EXISTS mayfly_load_ledger (
    pipeline VARCHAR(16) NOT NULL,
    run_id VARCHAR(256) NOT NULL,
    window_start DATE NOT NULL,
    window_end DATE NOT NULL,
    manifests VARCHAR(65535) NOT NULL,
    table_rows VARCHAR(65535) NOT NULL,
    loaded_at TIMESTAMP NOT NULL
)
DISTSTYLE ALL
SORTKEY (loaded_at);
