#!/usr/bin/env bash
# A zone that was not made through the API of the server that answers for it.
#
# Installs: PowerDNS 4.7.3-2 with its SQLite backend (unpacked from Debian 12's packages, as apt-get knows them), and
# dnspython 2.7.0 (PyPI). Needed: Debian 12, Python, curl and the network.
#
# Guess: the API and the name server read one database, so a zone that the API shows is answered.
#
# Really: where pdnsutil (or SQL, or a second server) made the zone, the API reads it with 200 and changes it with 204,
# and the name server beside it answers REFUSED: it keeps a list of all zones, renewed every 300 s. Flushing the zone's
# cache through the API ends that at once.
#
# Version and output seen (PowerDNS 4.7.3, twice, in November 2026):
#   PowerDNS Authoritative Server 4.7.3
#   the API: reads the zone with 200, takes a record with 204
#   the name server, after 0 s: REFUSED
#   the name server, after 20 s: REFUSED
#   after a flush (200): NOERROR 127.0.0.5
#
# Matters: a controller whose DNS write was answered 204 has moved nobody. Read back by a query, not by the API,
# and flush a zone that is refused though it is there.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; wait; rm -rf "$work"' EXIT

differs() { printf 'DIFFERS: %s\n' "$*"; tail -n 5 "$work/log"; exit 1; }

packages=(pdns-server=4.7.3-2 pdns-backend-sqlite3=4.7.3-2)
mkdir "$work/debs" "$work/root"
missing=$(apt-get -qq --simulate --no-install-recommends install "${packages[@]}" sqlite3 |
  awk '/^Inst / && $2 !~ /^pdns/ {print $2}')
# shellcheck disable=SC2086 # one word for each package
(cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}" sqlite3 $missing)
for deb in "$work"/debs/*.deb; do dpkg-deb --extract "$deb" "$work/root"; done
lib=$(dirname "$(dirname "$(compgen -G "$work/root/usr/lib/*/pdns/libgsqlite3backend.so")")")
export LD_LIBRARY_PATH=$lib PATH=$work/root/usr/sbin:$work/root/usr/bin:$PATH
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check dnspython==2.7.0

sqlite3 "$work/zones" <"$(find "$work/root" -name 'schema.sqlite3.sql' | head -n 1)"
read -r api_port dns_port < <(python3 -c '
import socket
ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(port.getsockname()[1] for port in ports))')
cat >"$work/pdns.conf" <<CONF
module-dir=$lib/pdns
launch=gsqlite3
gsqlite3-database=$work/zones
local-address=127.0.0.1
local-port=$dns_port
socket-dir=$work
setuid=
setgid=
daemon=no
guardian=no
disable-syslog=yes
webserver-address=127.0.0.1
webserver-port=$api_port
api=yes
api-key=key
CONF
pdns_server --config-dir="$work" </dev/null >"$work/log" 2>&1 &
server=$!
readonly url=http://127.0.0.1:$api_port/api/v1/servers/localhost
api() {
  curl --silent --noproxy '*' --max-time 10 --header 'X-API-Key: key' \
    --output "$work/answer" --write-out '%{http_code}' "$@" || true
}
cat >"$work/ask.py" <<'PYTHON'
import sys
import dns.message, dns.query, dns.rcode

answer = dns.query.udp(dns.message.make_query(sys.argv[2], "A"), "127.0.0.1", port=int(sys.argv[1]), timeout=5)
print(dns.rcode.to_text(answer.rcode()), *(record for found in answer.answer for record in found))
PYTHON
ask() { "$work/venv/bin/python" "$work/ask.py" "$dns_port" "$1"; }
for _ in $(seq 60); do
  [ "$(api "$url")" != 200 ] || break
  sleep 0.5
done
version=$(pdns_server --version 2>&1 || true)
grep -o 'PowerDNS Authoritative Server [0-9.]*' <<<"$version"

pdnsutil --config-dir="$work" create-zone example.org ns1.example.org >/dev/null 2>&1
record='{"rrsets": [{"name": "db.example.org.", "type": "A", "ttl": 5, "changetype": "REPLACE",
  "records": [{"content": "127.0.0.5", "disabled": false}]}]}'
read=$(api "$url/zones/example.org.")
written=$(api --request PATCH --data "$record" "$url/zones/example.org.")
echo "the API: reads the zone with $read, takes a record with $written"
[ "$read $written" = "200 204" ] || differs "the API"
for seconds in 0 20; do
  sleep "$seconds"
  answer=$(ask db.example.org)
  echo "the name server, after $seconds s: $answer"
  [ "$answer" = REFUSED ] || differs "the zone is answered"
done
flushed=$(api --request PUT "$url/cache/flush?domain=example.org.")
answer=$(ask db.example.org)
echo "after a flush ($flushed): $answer"
[ "$answer" = "NOERROR 127.0.0.5" ] || differs "a flush is no cure"
