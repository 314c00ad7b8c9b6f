-- One row for each arrival by air.
-- Tourist_id is the key, (i94yr * 100 + i94mon) * 10000000000 + cicid: a record's file is part of it (see dimTourist), and
-- the date of arrival is not, so that a record with a corrected date is the same record.
-- DISTKEY Tourist_id: nearly as many values as rows, and the join to dimTourist stays on its node.
-- SORTKEY arrivedate_id: a load replaces a range of dates, and questions select one.
-- arrivedate_id is 'YYYY-MM-DD': it sorts as a date does, and joins dimArriveDate without a cast.
-- Keys are NOT NULL, which Redshift enforces. PRIMARY KEY and REFERENCES are left out: Redshift does not enforce them,
-- but its planner relies on them, and one that does not hold makes SELECT DISTINCT wrong. The checks test them instead.
-- https://docs.aws.amazon.com/redshift/latest/dg/t_Defining_constraints.html
CREATE TABLE IF NOT EXISTS factArrivetheUsa (
    arrive_id BIGINT IDENTITY(1, 1),
    Tourist_id BIGINT NOT NULL,
    arrivedate_id VARCHAR(10) NOT NULL,
    AddressTo VARCHAR(32) NOT NULL,
    portcode VARCHAR(8) NOT NULL,
    portOfEntryCity VARCHAR(64),
    departdate DATE,
    arrivalFlag VARCHAR(8),
    departureFlag VARCHAR(8),
    updateFlag VARCHAR(8),
    matchFlag VARCHAR(8),
    admittedDate VARCHAR(16)
)
DISTKEY (Tourist_id)
SORTKEY (arrivedate_id);
