SELECT COUNT(*)
FROM {{ table | ident }}
WHERE {{ column | ident }} >= {{ window_start | literal }} AND {{ column | ident }} < {{ window_end | literal }};
