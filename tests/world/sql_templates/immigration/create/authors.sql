-- One row an author of these books.
-- DISTSTYLE ALL: a handful of rows.
CREATE TABLE IF NOT EXISTS authors (
    author VARCHAR(64) NOT NULL
)
DISTSTYLE ALL;
