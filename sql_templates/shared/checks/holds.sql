-- The predicate is SQL of the declaration. What it leaves unknown (a null) passes.
SELECT *
FROM {{ table | ident }}
WHERE NOT ({{ predicate }});
