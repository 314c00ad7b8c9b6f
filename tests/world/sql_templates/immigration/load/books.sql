-- Several rows a book: the library keeps one.
SELECT book, title, author
FROM {{ schema | ident }}.staging_reviews;
