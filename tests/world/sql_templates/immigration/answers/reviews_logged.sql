-- How often did a row of each review come in?
SELECT review, COUNT(*) AS came_in
FROM review_log
GROUP BY review
ORDER BY review;
