DELETE FROM dimAirport
WHERE NOT EXISTS (SELECT 1 FROM factArrivetheUsa WHERE factArrivetheUsa.portcode = dimAirport.portcode);
