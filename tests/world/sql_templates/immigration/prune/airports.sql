DELETE FROM airports
WHERE NOT EXISTS (SELECT 1 FROM arrivals WHERE arrivals.airport = airports.code);
