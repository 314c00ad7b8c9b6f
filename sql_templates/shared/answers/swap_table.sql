-- In the transaction that built the new table: readers wait from here to the commit, and a rollback brings the old table
-- back. https://docs.aws.amazon.com/redshift/latest/dg/performing-a-deep-copy.html
DROP TABLE IF EXISTS {{ schema | ident }}.{{ table | ident }};

ALTER TABLE {{ schema | ident }}.{{ new | ident }} RENAME TO {{ table | ident }};
