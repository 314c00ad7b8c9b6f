-- One row with the three counts where they differ, else none. A table that the load left as it was is expected to hold
-- what it held.
SELECT {{ written | literal }} AS written, staged.staged, loaded.loaded
FROM (SELECT COUNT(*) AS staged FROM {{ schema | ident }}.{{ staging | ident }}) AS staged
CROSS JOIN (
    SELECT COUNT(*) AS loaded
    FROM {{ table | ident }}
    WHERE {{ column | ident }} >= {{ window_start | literal }} AND {{ column | ident }} < {{ window_end | literal }}
) AS loaded
WHERE staged.staged <> {{ written | literal }} OR loaded.loaded <> {{ expected | literal }};
