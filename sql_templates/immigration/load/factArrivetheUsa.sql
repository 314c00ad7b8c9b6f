-- shared/replace_window has deleted the window's rows before this. A record whose arrival date was corrected in the
-- source may still have a row in another window: it is deleted here, so that Tourist_id stays unique.
DELETE FROM factArrivetheUsa
USING {{ schema | ident }}.staging_immigration
WHERE
    factArrivetheUsa.Tourist_id = staging_immigration.tourist_id
    AND staging_immigration.arrivedate >= {{ window_start | literal }}
    AND staging_immigration.arrivedate < {{ window_end | literal }};

INSERT INTO factArrivetheUsa (
    Tourist_id, arrivedate_id, AddressTo, portcode, portOfEntryCity, departdate,
    arrivalFlag, departureFlag, updateFlag, matchFlag, admittedDate
)
SELECT
    tourist_id, TO_CHAR(arrivedate, 'YYYY-MM-DD'), addressto, portcode, portofentrycity, departdate,
    arrivalflag, departureflag, updateflag, matchflag, admitteddate
FROM {{ schema | ident }}.staging_immigration
WHERE arrivedate >= {{ window_start | literal }} AND arrivedate < {{ window_end | literal }};
