SELECT COUNT(*) FROM {{ schema | ident }}.{{ table | ident }};
