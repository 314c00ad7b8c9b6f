SELECT * FROM (
{{ failing }}
) AS failing
ORDER BY 1
LIMIT {{ limit | literal }};
