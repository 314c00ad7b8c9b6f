-- Its lock makes loads run one after the other. It holds nothing: LOCK keeps readers out, too, and the ledger is read
-- while another run loads.
-- DISTSTYLE ALL: no rows.
CREATE TABLE IF NOT EXISTS mayfly_load_lock (
    unused INT
)
DISTSTYLE ALL;
