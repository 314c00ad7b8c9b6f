-- One row for each traveller's arrival record (the source numbers records, not persons).
-- Tourist_id is year and month of the record's file, then ten digits of its cicid: 2016040004084316. The source's cicid
-- begins anew in each monthly file, and is no key of its own; Tourist_id % 10000000000 is it.
-- DISTKEY and SORTKEY Tourist_id: each row lies on the node of its fact, and the two are merge-joined.
-- citizenshipbasis and residentbasis say where the country is from:
--   'published'  the label file has its code;
--   'inferred'   the label file lacks the code; it is the country where nearly all arrivals with it reside;
--   'unknown'    neither: the country reads 'Unknown (code)';
--   null         the source has no code.
-- Codes and numbers that are text in the source stay text: some flight numbers start with 0.
CREATE TABLE IF NOT EXISTS dimTourist (
    Tourist_id BIGINT NOT NULL,
    gender VARCHAR(8),
    birthyear INT,
    citizenship VARCHAR(64),
    resident VARCHAR(64),
    age INT,
    occupation VARCHAR(32),
    Visa VARCHAR(32),
    visatype VARCHAR(16),
    visapost VARCHAR(16),
    flight_no VARCHAR(16),
    airline VARCHAR(16),
    issuanceNum VARCHAR(32),
    admissionNum VARCHAR(32),
    citizenshipbasis VARCHAR(16),
    residentbasis VARCHAR(16)
)
DISTKEY (Tourist_id)
SORTKEY (Tourist_id);
