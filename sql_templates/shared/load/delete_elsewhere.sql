-- A record whose date was corrected in the source may still have a row in another window: it is deleted, so that the key
-- stays unique.
DELETE FROM {{ table | ident }}
WHERE EXISTS (
    SELECT 1
    FROM {{ schema | ident }}.mayfly_incoming AS incoming
    WHERE
        {{ key | equal(table, "incoming") }}
        AND incoming.{{ column | ident }} >= {{ window_start | literal }}
        AND incoming.{{ column | ident }} < {{ window_end | literal }}
);
