SELECT review, book, stars, changed_on
FROM {{ schema | ident }}.staging_reviews;
