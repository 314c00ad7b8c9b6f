-- Which books are best liked?
SELECT book, reviews, best
FROM popular
ORDER BY best DESC, book;
