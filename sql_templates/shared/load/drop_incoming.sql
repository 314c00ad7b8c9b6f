DROP TABLE {{ schema | ident }}.mayfly_incoming;
