-- The load ledger: one row for each run and batch of source objects, written in the transaction that loads it. A row
-- shows that the load was committed, how many failing rows each check found before it was, and how many of these were
-- there before the load, which output of each job it loaded, by the manifest's hash, and when the run took it for its
-- own, the hash of the batch, that of the SQL, tables and checks that it was loaded with, and whether the run's checks
-- and answers came through.
-- DISTSTYLE ALL: only a few rows. SORTKEY loaded_at: it is read by time.
CREATE TABLE IF NOT EXISTS mayfly_loads (
    pipeline VARCHAR(16) NOT NULL,
    run_id VARCHAR(256) NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_end TIMESTAMP NOT NULL,
    manifests VARCHAR(65535) NOT NULL,
    pinned_at VARCHAR(65535) NOT NULL,
    table_rows VARCHAR(65535) NOT NULL,
    verdicts VARCHAR(65535) NOT NULL,
    loaded_at TIMESTAMP NOT NULL,
    batch VARCHAR(64),
    code VARCHAR(64),
    finished BOOLEAN
)
DISTSTYLE ALL
SORTKEY (loaded_at);
