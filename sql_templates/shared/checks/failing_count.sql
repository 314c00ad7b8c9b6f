SELECT COUNT(*) FROM (
{{ failing }}
) AS failing;
