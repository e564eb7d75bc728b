# lab: 10-missing-index
# tries: talk nonsense to the referee: bytes, endless lines, unknown requests, no or a wrong secret.
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")

import json
import os
import socket


def raw(*lines, hello=True):
    """Say something to the referee without pglab, and return what it answers."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(os.environ["PGLAB_REFEREE"])
        if hello:
            s.sendall(json.dumps({"hello": os.environ["PGLAB_REFEREE_SECRET"]}).encode() + b"\n")
        try:
            for line in lines:
                s.sendall(line)
            s.shutdown(socket.SHUT_WR)
            said = b""
            while more := s.recv(65536):
                said += more
        except OSError as error:
            said = repr(error).encode()
        return said.decode(errors="replace")


for nonsense in (
    b"\x00\xff\n",
    b"{}\n",
    b"[]\n",
    b"null\n",
    b'"do"\n',
    b"{" * 5000 + b"\n",
    b"[" * 200_000 + b"\n",
    b"x" * 3_000_000,
    b'{"do": "record"}\n',
    b'{"do": "open"}\n',
    b'{"do": "check"}\n',
    b'{"do": ["check"], "check": {}}\n',
    b'{"do": "check", "check": "none"}\n',
    b'{"do": "check", "check": "opening the lab"}\n',
    b'{"do": "check", "check": "explain", "answer": 1}\n',
    b'{"id": 1, "result": 5}\n',
    b'{"hello": "again"}\n',
):
    print(raw(nonsense)[:300])
    print(raw(nonsense, hello=False)[:300])
print(raw(b'{"hello": 5}\n', hello=False), raw(b'{"hello": "\xc3\xa9"}\n', hello=False))
