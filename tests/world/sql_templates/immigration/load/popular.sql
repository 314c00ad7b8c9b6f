-- Of the tables, which are loaded before.
SELECT books.book, COUNT(*) AS reviews, MAX(reviews.stars) AS best
FROM reviews
JOIN books ON books.book = reviews.book
GROUP BY books.book;
