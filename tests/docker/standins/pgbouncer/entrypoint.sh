#!/bin/sh
# The image's documented behaviour: without a pgbouncer.ini, one is made from DB_* and the settings' names in capitals.
set -e
folder=/etc/pgbouncer
: "${AUTH_FILE:=$folder/userlist.txt}"
[ -e "$AUTH_FILE" ] || touch "$AUTH_FILE"
if [ -n "$DB_USER" ] && [ -n "$DB_PASSWORD" ] && ! grep -q "^\"$DB_USER\"" "$AUTH_FILE"; then
  case ${AUTH_TYPE:-md5} in
    plain | scram-sha-256) secret=$DB_PASSWORD ;;
    *) secret=md5$(printf %s "$DB_PASSWORD$DB_USER" | md5sum | cut -d ' ' -f 1) ;;
  esac
  printf '"%s" "%s"\n' "$DB_USER" "$secret" >>"$AUTH_FILE"
fi
if [ ! -f $folder/pgbouncer.ini ]; then
  {
    echo "[databases]"
    echo "${DB_NAME:-*} = host=${DB_HOST:?DB_HOST must be set} port=${DB_PORT:-5432} auth_user=${DB_USER:-postgres}"
    echo "[pgbouncer]"
    echo "listen_addr = ${LISTEN_ADDR:-0.0.0.0}"
    echo "listen_port = ${LISTEN_PORT:-5432}"
    echo "unix_socket_dir ="
    echo "auth_file = $AUTH_FILE"
    echo "auth_type = ${AUTH_TYPE:-md5}"
    echo "ignore_startup_parameters = ${IGNORE_STARTUP_PARAMETERS:-extra_float_digits}"
    echo "admin_users = ${ADMIN_USERS:-postgres}"
    for name in AUTH_USER AUTH_QUERY POOL_MODE MAX_CLIENT_CONN DEFAULT_POOL_SIZE MAX_DB_CONNECTIONS QUERY_WAIT_TIMEOUT STATS_USERS; do
      eval "value=\${$name:-}"
      if [ -n "$value" ]; then echo "$(echo $name | tr A-Z a-z) = $value"; fi
    done
  } >$folder/pgbouncer.ini
fi
exec "$@"
