-- Made anew as a whole at each load.
DELETE FROM airports;

INSERT INTO airports (code, city)
SELECT code, city
FROM {{ schema | ident }}.staging_airports;
