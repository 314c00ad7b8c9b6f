SELECT review, stars, changed_on
FROM {{ schema | ident }}.staging_reviews;
