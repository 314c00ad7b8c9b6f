-- Every airport, used or not: pruning drops the others.
SELECT code, city
FROM {{ schema | ident }}.staging_airports;
