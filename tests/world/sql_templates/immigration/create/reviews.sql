-- One row a review, as it was changed last.
-- DISTSTYLE ALL: a handful of rows. SORTKEY review: the key that a load looks for.
CREATE TABLE IF NOT EXISTS reviews (
    review BIGINT NOT NULL,
    book BIGINT NOT NULL,
    stars BIGINT,
    changed_on DATE
)
DISTSTYLE ALL
SORTKEY (review);
