-- The travellers of the window's arrivals.
SELECT
    tourist_id, gender, birthyear, citizenship, resident, age, occupation,
    visa, visatype, visapost, flight_no, airline, issuancenum, admissionnum,
    citizenshipbasis, residentbasis
FROM {{ schema | ident }}.staging_immigration
WHERE arrivedate >= {{ window_start | literal }} AND arrivedate < {{ window_end | literal }};
