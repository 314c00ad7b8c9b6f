-- The functions and system tables that Redshift has and PostgreSQL lacks. Run once for a new database, as superuser,
-- with allow_system_table_mods on: in pg_catalog, they are found with any search_path. The proxy's own names start
-- with rs_.

-- Dates. Source: Redshift Database Developer Guide, "Date and time functions".
CREATE FUNCTION pg_catalog.rs_part(part text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN part IN ('y', 'yr', 'yrs', 'years') THEN 'year'
    WHEN part IN ('qtr', 'qtrs', 'quarters') THEN 'quarter'
    WHEN part IN ('mon', 'mons', 'months') THEN 'month'
    WHEN part IN ('w', 'weeks') THEN 'week'
    WHEN part IN ('dow', 'dw', 'dayofweek', 'weekday') THEN 'dow'
    WHEN part IN ('doy', 'dy', 'dayofyear', 'yearday') THEN 'doy'
    WHEN part IN ('d', 'days') THEN 'day'
    WHEN part IN ('h', 'hr', 'hrs', 'hours') THEN 'hour'
    WHEN part IN ('m', 'min', 'mins', 'minutes') THEN 'minute'
    WHEN part IN ('s', 'sec', 'secs', 'seconds') THEN 'second'
    WHEN part IN ('ms', 'msec', 'msecs', 'milliseconds', 'millisecond') THEN 'milliseconds'
    WHEN part IN ('us', 'usec', 'usecs', 'microseconds', 'microsecond') THEN 'microseconds'
    ELSE part END $$;
CREATE FUNCTION pg_catalog.rs_sysdate() RETURNS timestamp LANGUAGE sql STABLE AS $$
  SELECT now() AT TIME ZONE 'UTC' $$;
CREATE FUNCTION pg_catalog.getdate() RETURNS timestamp LANGUAGE sql STABLE AS $$
  SELECT date_trunc('second', clock_timestamp() AT TIME ZONE 'UTC') $$;
CREATE FUNCTION pg_catalog.rs_extract(part text, moment timestamp) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT floor(date_part(rs_part(part), moment))::integer $$;
CREATE FUNCTION pg_catalog.rs_date_part(part text, moment timestamp) RETURNS double precision
  LANGUAGE sql IMMUTABLE AS $$ SELECT date_part(rs_part(part), moment) $$;
-- PostgreSQL's date_trunc of a date returns a timestamp with time zone.
CREATE FUNCTION pg_catalog.date_trunc(part text, day date) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
  SELECT date_trunc(part, day::timestamp) $$;
CREATE FUNCTION pg_catalog.dateadd(part text, n bigint, moment timestamp) RETURNS timestamp
  LANGUAGE sql IMMUTABLE AS $$
  SELECT moment + CASE rs_part(part) WHEN 'quarter' THEN 3 * n * interval '1 month'
                                     ELSE n * ('1 ' || rs_part(part))::interval END $$;
-- DATEDIFF counts the boundaries between two dates, not full units.
CREATE FUNCTION pg_catalog.rs_ordinal(part text, moment timestamp) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE rs_part(part)
    WHEN 'year' THEN extract(year FROM moment)
    WHEN 'quarter' THEN extract(year FROM moment) * 4 + extract(quarter FROM moment)
    WHEN 'month' THEN extract(year FROM moment) * 12 + extract(month FROM moment)
    WHEN 'milliseconds' THEN floor(extract(epoch FROM moment) * 1000)
    WHEN 'microseconds' THEN extract(epoch FROM moment) * 1000000
    WHEN 'day' THEN moment::date - date '1970-01-01'
    WHEN 'hour' THEN floor(extract(epoch FROM moment) / 3600)
    WHEN 'minute' THEN floor(extract(epoch FROM moment) / 60)
    ELSE floor(extract(epoch FROM moment)) END $$;
CREATE FUNCTION pg_catalog.datediff(part text, a timestamp, b timestamp) RETURNS bigint
  LANGUAGE sql IMMUTABLE AS $$ SELECT (rs_ordinal(part, b) - rs_ordinal(part, a))::bigint $$;
CREATE FUNCTION pg_catalog.date_diff(part text, a timestamp, b timestamp) RETURNS bigint
  LANGUAGE sql IMMUTABLE AS $$ SELECT datediff(part, a, b) $$;
CREATE FUNCTION pg_catalog.trunc(moment timestamp) RETURNS date LANGUAGE sql IMMUTABLE AS $$
  SELECT moment::date $$;
CREATE FUNCTION pg_catalog.last_day(moment timestamp) RETURNS date LANGUAGE sql IMMUTABLE AS $$
  SELECT (date_trunc('month', moment) + interval '1 month - 1 day')::date $$;
CREATE FUNCTION pg_catalog.add_months(moment timestamp, n bigint) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
  SELECT moment + n * interval '1 month' $$;
CREATE FUNCTION pg_catalog.convert_timezone(source text, target text, moment timestamp) RETURNS timestamp
  LANGUAGE sql IMMUTABLE AS $$ SELECT moment AT TIME ZONE source AT TIME ZONE target $$;

-- Numbers: in PostgreSQL, round and trunc to digits exist only for numeric.
CREATE FUNCTION pg_catalog.round(value double precision, digits integer) RETURNS double precision
  LANGUAGE sql IMMUTABLE AS $$ SELECT round(value::numeric, digits)::double precision $$;
CREATE FUNCTION pg_catalog.trunc(value double precision, digits integer) RETURNS double precision
  LANGUAGE sql IMMUTABLE AS $$ SELECT trunc(value::numeric, digits)::double precision $$;

-- Strings.
CREATE FUNCTION pg_catalog.len(value text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT length(value) $$;
CREATE FUNCTION pg_catalog.charindex(part text, value text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT strpos(value, part) $$;

-- AVG of integers is an integer: Redshift Database Developer Guide, "AVG function".
CREATE FUNCTION pg_catalog.rs_avg_add(state numeric[], value bigint) RETURNS numeric[]
  LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN value IS NULL THEN state ELSE ARRAY[state[1] + 1, state[2] + value] END $$;
CREATE FUNCTION pg_catalog.rs_avg_whole(state bigint[]) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN state[1] > 0 THEN state[2] / state[1] END $$;
CREATE FUNCTION pg_catalog.rs_avg_whole(state numeric[]) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN state[1] > 0 THEN trunc(state[2] / state[1])::bigint END $$;
CREATE AGGREGATE pg_catalog.rs_avg(smallint)
  (sfunc = int2_avg_accum, stype = bigint[], finalfunc = rs_avg_whole, initcond = '{0,0}');
CREATE AGGREGATE pg_catalog.rs_avg(integer)
  (sfunc = int4_avg_accum, stype = bigint[], finalfunc = rs_avg_whole, initcond = '{0,0}');
CREATE AGGREGATE pg_catalog.rs_avg(bigint)
  (sfunc = rs_avg_add, stype = numeric[], finalfunc = rs_avg_whole, initcond = '{0,0}');
CREATE AGGREGATE pg_catalog.rs_avg(numeric)
  (sfunc = numeric_avg_accum, stype = internal, finalfunc = numeric_avg);
CREATE AGGREGATE pg_catalog.rs_avg(real)
  (sfunc = float4_accum, stype = double precision[], finalfunc = float8_avg, initcond = '{0,0,0}');
CREATE AGGREGATE pg_catalog.rs_avg(double precision)
  (sfunc = float8_accum, stype = double precision[], finalfunc = float8_avg, initcond = '{0,0,0}');
CREATE AGGREGATE pg_catalog.rs_avg(interval)
  (sfunc = interval_avg_accum, stype = internal, finalfunc = interval_avg);

-- The session.
CREATE OR REPLACE FUNCTION pg_catalog.version() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT 'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 '
      || '(Red Hat 3.4.2-6.fc3), Redshift 1.0.99999 (simulator)' $$;
CREATE FUNCTION pg_catalog.pg_last_copy_count() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('rs.last_copy_count', true), ''), '0')::bigint $$;
CREATE FUNCTION pg_catalog.pg_last_copy_id() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('rs.last_copy_id', true), ''), '-1')::bigint $$;
CREATE SEQUENCE pg_catalog.rs_query_id START 1000;
GRANT USAGE ON SEQUENCE pg_catalog.rs_query_id TO PUBLIC;

-- System tables.
CREATE TABLE pg_catalog.stl_load_errors (
  userid integer, slice integer, tbl integer,
  starttime timestamp DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
  session integer, query bigint, filename varchar(256), line_number bigint, colname varchar(127),
  type varchar(10), col_length varchar(10), "position" integer, raw_line varchar(1024),
  raw_field_value varchar(1024), err_code integer, err_reason varchar(400));
CREATE TABLE pg_catalog.rs_layout (
  rel oid PRIMARY KEY, diststyle text, distkey text, sortkeys text[], encodings jsonb);
CREATE VIEW pg_catalog.svv_table_info AS
  SELECT current_database()::text AS "database", n.nspname::text AS "schema", c.oid::integer AS table_id,
         c.relname::text AS "table",
         CASE WHEN l.encodings IS NULL THEN 'N' ELSE 'Y' END AS encoded,
         coalesce(CASE WHEN l.distkey <> '' THEN 'KEY(' || l.distkey || ')' END,
                  nullif(nullif(l.diststyle, ''), 'AUTO'), 'AUTO(ALL)') AS diststyle,
         coalesce(l.sortkeys[1], 'AUTO(SORTKEY)') AS sortkey1,
         coalesce(array_length(l.sortkeys, 1), 0) AS sortkey_num,
         greatest(1, pg_table_size(c.oid) / 1048576) AS size,
         greatest(c.reltuples, 0)::numeric(38, 0) AS tbl_rows
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.rs_layout l ON l.rel = c.oid
   WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
     AND c.relpersistence <> 't';
CREATE VIEW pg_catalog.pg_table_def AS
  SELECT n.nspname AS schemaname, c.relname AS tablename, a.attname AS "column",
         format_type(a.atttypid, a.atttypmod) AS type,
         coalesce(l.encodings ->> a.attname, 'none') AS encoding,
         coalesce(l.distkey = a.attname, false) AS distkey,
         coalesce(array_position(l.sortkeys, a.attname::text), 0) AS sortkey,
         a.attnotnull AS "notnull"
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.rs_layout l ON l.rel = c.oid
   WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid) AND n.nspname <> 'pg_catalog';
GRANT SELECT ON pg_catalog.stl_load_errors, pg_catalog.svv_table_info, pg_catalog.pg_table_def TO PUBLIC;

-- Redshift does not enforce keys, and its VARCHAR(n) counts bytes. So after every statement that creates or alters a
-- table, its keys are dropped (NOT NULL of a primary key stays), and a check of each string column's bytes is added.
CREATE FUNCTION pg_catalog.rs_drop_keys(rel oid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE item record;
BEGIN
  FOR item IN SELECT conname FROM pg_constraint WHERE conrelid = rel AND contype IN ('p', 'u') LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', rel::regclass, item.conname);
  END LOOP;
END $$;
CREATE FUNCTION pg_catalog.rs_check_bytes(rel oid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE missing text;
BEGIN
  SELECT string_agg(format('ADD CONSTRAINT %I CHECK (octet_length(%I) <= %s)', name, attname, bytes), ', ')
    INTO missing
    FROM (SELECT attname, atttypmod - 4 AS bytes, format('rs_bytes_%s_%s', attnum, atttypmod - 4) AS name
            FROM pg_attribute
           WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped
             AND atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND atttypmod > 4) AS columns
   WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = rel AND conname = name);
  IF missing <> '' THEN
    EXECUTE format('ALTER TABLE %s %s', rel::regclass, missing);
  END IF;
END $$;
CREATE FUNCTION pg_catalog.rs_keep_layout(rel oid, layout jsonb) RETURNS void LANGUAGE sql AS $$
  INSERT INTO pg_catalog.rs_layout
  SELECT rel, layout ->> 'diststyle', layout ->> 'distkey',
         (SELECT array_agg(value) FROM jsonb_array_elements_text(layout -> 'sortkeys')),
         nullif(layout -> 'encodings', '{}')
  ON CONFLICT DO NOTHING $$;
CREATE FUNCTION pg_catalog.rs_after_ddl() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE made record; layout text := current_setting('rs.layout', true);
BEGIN
  IF current_setting('rs.in_ddl', true) = '1' THEN RETURN; END IF;
  PERFORM set_config('rs.in_ddl', '1', true);
  FOR made IN SELECT DISTINCT objid, command_tag FROM pg_event_trigger_ddl_commands()
               WHERE object_type = 'table' AND classid = 'pg_class'::regclass LOOP
    PERFORM rs_drop_keys(made.objid);
    PERFORM rs_check_bytes(made.objid);
    IF made.command_tag LIKE 'CREATE TABLE%' AND layout <> '' THEN
      PERFORM rs_keep_layout(made.objid, layout::jsonb);
    END IF;
  END LOOP;
  PERFORM set_config('rs.in_ddl', '', true);
END $$;
CREATE EVENT TRIGGER rs_after_ddl ON ddl_command_end
  WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE')
  EXECUTE FUNCTION pg_catalog.rs_after_ddl();

GRANT ALL ON SCHEMA public TO PUBLIC;
