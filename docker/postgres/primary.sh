#!/bin/bash
# Runs once, when the primary's data is made (/docker-entrypoint-initdb.d): the role that the replica streams as, its slot,
# and who gets in. A student's role has one database, its own.
set -euo pipefail
psql -v ON_ERROR_STOP=1 --no-psqlrc -U "$POSTGRES_USER" -d postgres -v secret="$(cat /run/pglab/replication)" <<'SQL'
CREATE ROLE replication LOGIN REPLICATION PASSWORD :'secret';
SELECT pg_create_physical_replication_slot('replica', true);
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;
SQL
echo "host replication replication all scram-sha-256" >>"$PGDATA/pg_hba.conf"
