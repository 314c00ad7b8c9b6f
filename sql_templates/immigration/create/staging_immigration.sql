-- The arrivals of the run's window, in the order of the Spark job's columns (COPY matches them by position).
-- DISTKEY tourist_id: the fact and dimTourist are distributed by it, so the load moves no row between nodes.
-- No SORTKEY: it is written once and always read as a whole.
CREATE TABLE {{ schema | ident }}.staging_immigration (
    tourist_id BIGINT,
    arrivedate DATE,
    departdate DATE,
    addressto VARCHAR(32),
    portcode VARCHAR(8),
    portofentrycity VARCHAR(64),
    citizenship VARCHAR(64),
    citizenshipbasis VARCHAR(16),
    resident VARCHAR(64),
    residentbasis VARCHAR(16),
    mode VARCHAR(32),
    visa VARCHAR(32),
    visatype VARCHAR(16),
    age INT,
    birthyear INT,
    gender VARCHAR(8),
    occupation VARCHAR(32),
    visapost VARCHAR(16),
    arrivalflag VARCHAR(8),
    departureflag VARCHAR(8),
    updateflag VARCHAR(8),
    matchflag VARCHAR(8),
    admitteddate VARCHAR(16),
    airline VARCHAR(16),
    flight_no VARCHAR(16),
    issuancenum VARCHAR(32),
    admissionnum VARCHAR(32)
)
DISTKEY (tourist_id);
