-- The arrivals of the window.
SELECT
    tourist_id,
    TO_CHAR(arrivedate, 'YYYY-MM-DD') AS arrivedate_id,
    addressto, portcode, portofentrycity, departdate,
    arrivalflag, departureflag, updateflag, matchflag, admitteddate
FROM {{ schema | ident }}.staging_immigration;
