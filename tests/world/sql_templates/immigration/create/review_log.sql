-- Every row that ever came in.
-- DISTSTYLE ALL: a handful of rows.
CREATE TABLE IF NOT EXISTS review_log (
    review BIGINT,
    stars BIGINT,
    changed_on DATE
)
DISTSTYLE ALL;
