-- Inserts the travellers of the window's arrivals, and replaces those that are there already.
DELETE FROM dimTourist
USING {{ schema | ident }}.staging_immigration
WHERE
    dimTourist.Tourist_id = staging_immigration.tourist_id
    AND staging_immigration.arrivedate >= {{ window_start | literal }}
    AND staging_immigration.arrivedate < {{ window_end | literal }};

INSERT INTO dimTourist (
    Tourist_id, gender, birthyear, citizenship, resident, age, occupation,
    Visa, visatype, visapost, flight_no, airline, issuanceNum, admissionNum,
    citizenshipbasis, residentbasis
)
SELECT
    tourist_id, gender, birthyear, citizenship, resident, age, occupation,
    visa, visatype, visapost, flight_no, airline, issuancenum, admissionnum,
    citizenshipbasis, residentbasis
FROM {{ schema | ident }}.staging_immigration
WHERE arrivedate >= {{ window_start | literal }} AND arrivedate < {{ window_end | literal }};
