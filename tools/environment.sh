#!/bin/sh
# Makes .venv from requirements.lock, with uv if it is on PATH, else with python3 -m venv (which then gets the locked uv:
# it installs six times as fast as pip) and with pip where uv cannot.
# A second run ends at once. The stamp is written last, so an interrupted run never counts as ready.
# uv's cache stays in the project's folder, as hard links: nothing outside the folder is written.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.ready
oldest=3.11

say() { printf 'pglab: %s\n' "$1" >&2; }
stop() { say "$1"; exit 1; }

# On a terminal, a line that shows how far it is: seconds, and what lies on disk so far.
ticker=''
tick() {
  [ -t 2 ] || return 0
  ( s=0; while sleep 1; do s=$((s + 1)); printf '\r  %3d s, %4s of about 800 MB on disk ' $s "$(du -scm .venv .cache 2>/dev/null | tail -n 1 | cut -f 1)" >&2; done ) &
  ticker=$!
}
tock() { [ -z "$ticker" ] || { kill "$ticker" 2>/dev/null || true; ticker=''; printf '\r%50s\r' '' >&2; }; }
trap tock EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# What the environment depends on: the locked packages and the place (scripts hold its path); then the project itself.
packages=$(cksum <requirements.lock; cksum <tools/environment.sh; pwd -P)
project=$(cksum <pyproject.toml)
have='' have_packages=''
if [ -f $stamp ] && [ -x .venv/bin/python ]; then have=$(cat $stamp) have_packages=$(sed '$d' $stamp); fi
[ "$have" != "$packages
$project" ] || exit 0

export UV_CACHE_DIR="${UV_CACHE_DIR:-$PWD/.cache/uv}" UV_PYTHON_INSTALL_DIR="${UV_PYTHON_INSTALL_DIR:-$PWD/.cache/python}"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
log=.venv/install.log
uv=$(command -v uv || true)
pip='.venv/bin/python -m pip install --quiet'

make_venv() {
  # Which Python: the user's own python3 first, then the newest. A name may be a shim with nothing behind it: run it.
  python='' no_venv=''
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    "$name" -c "import sys; sys.exit(sys.version_info < (${oldest%.*}, ${oldest#*.}))" >/dev/null 2>&1 || continue
    if [ -n "$uv" ] || "$name" -c 'import venv, ensurepip' >/dev/null 2>&1; then python=$(command -v "$name"); break; fi
    no_venv=${no_venv:-$name}
  done
  if [ -n "$uv" ] && [ -z "$python" ]; then python=">=$oldest"; fi  # uv finds one of its own, or fetches one
  if [ -z "$python" ] && [ -n "$no_venv" ]; then
    stop "$no_venv has no venv module. Install it (Debian, Ubuntu: sudo apt-get install python3-venv), then run make again."
  fi
  [ -n "$python" ] || stop "Python $oldest or newer is needed, and there is none on PATH. Install one (https://www.python.org/downloads/), or install uv, which brings its own (https://docs.astral.sh/uv/), then run make again."
  say "making the Python environment in .venv with $python (once: $(grep -c '==' requirements.lock) packages, a minute or so)"
  rm -rf .venv
  if [ -n "$uv" ]; then "$uv" venv --quiet --python "$python" .venv; else "$python" -m venv .venv; fi
}

install_packages() {
  # pip.conf may name a mirror that uv knows nothing of: then pip does the work.
  if [ -z "$uv" ]; then
    case $(.venv/bin/python -m pip config list 2>/dev/null) in
      *.index-url=*) ;;
      *)
        awk '/^uv==/ {on = 1} on {print} on && !/\\$/ {exit}' requirements.lock >.venv/uv.lock
        if $pip --require-hashes -r .venv/uv.lock >$log 2>&1; then uv=.venv/bin/uv; fi ;;
    esac
  fi
  if [ -n "$uv" ]; then
    "$uv" pip install --python .venv/bin/python --require-hashes --no-deps -r requirements.lock >>$log 2>&1 && return
    [ -x .venv/bin/pip ] || return 1
    say "uv could not install the packages, trying with pip"
  fi
  $pip --no-compile --require-hashes --no-deps -r requirements.lock >>$log 2>&1
}

install_project() {
  if [ -z "$uv" ] && [ -x .venv/bin/uv ]; then uv=.venv/bin/uv; fi
  if [ -n "$uv" ]; then
    "$uv" pip install --python .venv/bin/python --offline --no-deps --no-build-isolation -e . >>$log 2>&1
  else
    $pip --no-index --no-deps --no-build-isolation -e . >>$log 2>&1
  fi
}

failed() { tock; tail -n 12 $log >&2; rm -f $stamp; stop "$1"; }

if [ -z "$have" ] || [ "$have_packages" != "$packages" ]; then
  make_venv
  tick
  install_packages || failed "the packages could not be installed: see above, and .venv/install.log. Is the network there? Then run make again."
fi
rm -f $stamp
install_project || failed "the project itself could not be installed: see above, and .venv/install.log."
printf '%s\n%s\n' "$packages" "$project" >$stamp
