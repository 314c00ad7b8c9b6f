-- The load ledger: one row a run, written in the transaction that loaded its window.
-- Its lock is what makes loads follow one another, and its row is what tells that a commit arrived.
-- DISTSTYLE ALL: a handful of rows. SORTKEY loaded_at: it is read by time.
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
