-- One row with the two counts where they differ, else none.
SELECT {{ written | literal }} AS written, staged.staged
FROM (SELECT COUNT(*) AS staged FROM {{ schema | ident }}.{{ staging | ident }}) AS staged
WHERE staged.staged <> {{ written | literal }};
