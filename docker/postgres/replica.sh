#!/bin/bash
# The replica's entrypoint: a copy of the primary first, then the server. A copy that broke off is made anew.
set -euo pipefail
if [ "$(id -u)" = 0 ]; then
  install -d -o postgres -g postgres -m 700 "$(dirname "$PGDATA")" "$PGDATA"
  exec gosu postgres "${BASH_SOURCE[0]}" "$@"
fi
export PGPASSFILE="$HOME/.pgpass"
echo "*:*:*:replication:$(cat /run/pglab/replication)" >"$PGPASSFILE"
chmod 600 "$PGPASSFILE"
if [ ! -e "$PGDATA/.copied" ]; then
  find "$PGDATA" -mindepth 1 -delete
  pg_basebackup -h primary -U replication -D "$PGDATA" -X stream -S replica -R --checkpoint=fast --no-password
  touch "$PGDATA/.copied"
fi
exec docker-entrypoint.sh "$@"
