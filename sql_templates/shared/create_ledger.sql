-- The load ledger: one row for each run, written in the transaction that loads the run's window. A run's row shows that
-- its load was committed, how many failing rows each check found before it was, and how many of these were there before
-- the load, which output of each job it loaded, by the manifest's hash, and when the run took it for its own; `batch` is the hash of
-- the objects that the run took in, `code` that of the SQL and checks it was loaded by.
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
    batch VARCHAR(64),
    code VARCHAR(64),
    loaded_at TIMESTAMP NOT NULL
)
DISTSTYLE ALL
SORTKEY (loaded_at);

-- Its lock makes loads run one after the other. It holds nothing: LOCK keeps readers out, too, and the ledger is read
-- while another run loads.
-- DISTSTYLE ALL: no rows.
CREATE TABLE IF NOT EXISTS mayfly_load_lock (
    unused INT
)
DISTSTYLE ALL;
