-- Of each key that came in, the rows of the table compete with those that came in: the greatest by `ranking` wins. What
-- wins and is not there as it is takes the place of the key's rows.
INSERT INTO {{ schema | ident }}.mayfly_incoming ({{ columns | map("ident") | join(", ") }}, mayfly_came_in)
SELECT {{ columns | map("ident") | join(", ") }}, 0
FROM {{ table | ident }}
WHERE EXISTS (
    SELECT 1
    FROM {{ schema | ident }}.mayfly_incoming AS incoming
    WHERE {{ key | equal(table, "incoming") }}
);

-- EXCEPT takes nulls for equal, and gives each row once.
CREATE TABLE {{ schema | ident }}.mayfly_newest AS
SELECT {{ columns | map("ident") | join(", ") }}
FROM (
    SELECT
        {{ columns | map("ident") | join(", ") }},
        ROW_NUMBER() OVER (
            PARTITION BY {{ key | map("ident") | join(", ") }}
            ORDER BY {{ ranking | map("ident") | join(" DESC NULLS LAST, ") }} DESC NULLS LAST
        ) AS mayfly_rank
    FROM {{ schema | ident }}.mayfly_incoming
) AS ranked
WHERE mayfly_rank = 1
EXCEPT
SELECT {{ columns | map("ident") | join(", ") }}
FROM {{ schema | ident }}.mayfly_incoming
WHERE mayfly_came_in = 0;

DELETE FROM {{ table | ident }}
WHERE EXISTS (
    SELECT 1
    FROM {{ schema | ident }}.mayfly_newest AS newest
    WHERE {{ key | equal(table, "newest") }}
);

INSERT INTO {{ table | ident }} ({{ columns | map("ident") | join(", ") }})
SELECT {{ columns | map("ident") | join(", ") }}
FROM {{ schema | ident }}.mayfly_newest;

DROP TABLE {{ schema | ident }}.mayfly_newest;
