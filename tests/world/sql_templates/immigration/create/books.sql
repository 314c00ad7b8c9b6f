-- One row a book that a review is about.
-- DISTSTYLE ALL: a handful of rows.
CREATE TABLE IF NOT EXISTS books (
    book_id BIGINT IDENTITY(1, 1),
    book BIGINT NOT NULL,
    title VARCHAR(64),
    author VARCHAR(64)
)
DISTSTYLE ALL;
