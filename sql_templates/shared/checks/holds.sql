-- The predicate is SQL from the declaration. A row for which it is unknown, because of a null, passes.
SELECT *
FROM {{ table | ident }}
WHERE NOT ({{ predicate }});
