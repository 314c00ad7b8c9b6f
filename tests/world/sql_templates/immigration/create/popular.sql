-- One row a book, with how many reviews it has and the best of them.
-- DISTSTYLE ALL: a handful of rows.
CREATE TABLE IF NOT EXISTS popular (
    book BIGINT,
    reviews BIGINT,
    best BIGINT
)
DISTSTYLE ALL;
