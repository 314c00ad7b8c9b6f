SELECT tablename FROM pg_tables WHERE schemaname = {{ schema | literal }};
