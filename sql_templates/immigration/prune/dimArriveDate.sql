DELETE FROM dimArriveDate
WHERE NOT EXISTS (
    SELECT 1 FROM factArrivetheUsa WHERE factArrivetheUsa.arrivedate_id = dimArriveDate.arrivedate_id
);
