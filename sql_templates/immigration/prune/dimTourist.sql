DELETE FROM dimTourist
WHERE NOT EXISTS (SELECT 1 FROM factArrivetheUsa WHERE factArrivetheUsa.Tourist_id = dimTourist.Tourist_id);
