#!/bin/bash
# The official image's documented behaviour: a first start makes the database from POSTGRES_* and runs the scripts of
# /docker-entrypoint-initdb.d, every start runs the server as user postgres; any other command is run as it is.
set -euo pipefail

from_file() { # NAME: its value, or the content of the file that NAME_FILE names
  local file="${1}_FILE"
  if [ -n "${!file:-}" ]; then
    [ -z "${!1:-}" ] || { echo "error: both $1 and $file are set (but are exclusive)" >&2; exit 1; }
    export "$1"="$(<"${!file}")"
  fi
}

[ "${1#-}" = "$1" ] || set -- postgres "$@"
[ "$1" = postgres ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
  install -d -o postgres -g postgres -m 700 "$PGDATA"
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  exec gosu postgres "$BASH_SOURCE" "$@"
fi

mkdir -p "$PGDATA"
chmod 700 "$PGDATA" || true
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do from_file $name; done
  : "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=${POSTGRES_USER}}" "${POSTGRES_INITDB_ARGS:=}"
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    echo "Error: Database is uninitialized and superuser password is not specified." >&2
    exit 1
  fi
  eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\${POSTGRES_PASSWORD:-}\") $POSTGRES_INITDB_ARGS"
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
  export PGPASSWORD="${POSTGRES_PASSWORD:-}" PGUSER="$POSTGRES_USER"
  pg_ctl -D "$PGDATA" -w start -o "-c listen_addresses='' -p 5432" >/dev/null
  if [ "$POSTGRES_DB" != postgres ]; then
    psql -v ON_ERROR_STOP=1 -h /var/run/postgresql -d postgres -c "CREATE DATABASE \"$POSTGRES_DB\""
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) psql -v ON_ERROR_STOP=1 --no-psqlrc -h /var/run/postgresql -d "$POSTGRES_DB" -f "$file" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
  unset PGPASSWORD PGUSER
  echo "PostgreSQL init process complete; ready for start up."
fi
exec "$@"
