-- One row with the count where it is out of bounds, else none; a bound that is NULL does not bind.
SELECT counted.rows_found
FROM (SELECT COUNT(*) AS rows_found FROM {{ table | ident }}) AS counted
WHERE counted.rows_found < {{ at_least | literal }} OR counted.rows_found > {{ at_most | literal }};
