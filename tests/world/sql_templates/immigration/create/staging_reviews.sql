-- The reviews of the source's version, column by column as the stand-in job writes them.
-- DISTSTYLE ALL: a handful of rows.
CREATE TABLE {{ schema | ident }}.staging_reviews (
    review BIGINT,
    book BIGINT,
    title VARCHAR(64),
    author VARCHAR(64),
    stars BIGINT,
    changed_on DATE
)
DISTSTYLE ALL;
