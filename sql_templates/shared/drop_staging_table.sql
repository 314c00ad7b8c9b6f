DROP TABLE IF EXISTS {{ schema | ident }}.{{ table | ident }};
