SELECT author
FROM {{ schema | ident }}.staging_reviews;
