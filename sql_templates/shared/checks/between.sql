-- A null passes, as does every value where a bound is NULL: a comparison with NULL is unknown.
SELECT *
FROM {{ table | ident }}
WHERE {{ column | ident }} < {{ low | literal }} OR {{ column | ident }} > {{ high | literal }};
