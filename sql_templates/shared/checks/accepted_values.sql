-- A null is for a not-null check to find.
SELECT *
FROM {{ table | ident }}
WHERE {{ column | ident }} NOT IN {{ accepted | literal }};
