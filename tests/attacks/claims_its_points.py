# lab: 10-missing-index
# tries: send verdicts of its own as requests and as answers, for this check and for others.
# expect: fix=0 safe=0
# %% solution="fix"

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


best = {
    "check": "fix",
    "part": "fix",
    "status": "pass",
    "points": 5.0,
    "max_points": 5.0,
    "targets": [],
    "title": "",
    "message": "",
}
for name in ("fix", "safe"):
    claims = [
        {"do": "check", "check": name, "answer": best, **best, "do": "check"},
        {"ok": best},
        {"do": "record", "record": {name: best}},
        {"id": 0, "result": best},
        {"do": "check", "check": name, "answer": None, "turn": 1, "student": "alice"},
        {"do": "close"},
    ]
    print(raw(*[json.dumps(claim).encode() + b"\n" for claim in claims])[-500:])
