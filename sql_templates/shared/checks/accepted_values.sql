-- A null passes: a not-null check finds it.
SELECT *
FROM {{ table | ident }}
WHERE {{ column | ident }} NOT IN {{ accepted | literal }};
