SELECT nspname FROM pg_namespace ORDER BY nspname;
