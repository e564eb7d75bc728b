# lab: 10-missing-index
# tries: answers that are no JSON, too deep, too large, endless, or no number at all.
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0
# %% after

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


def answer(check, text):
    said = raw(b'{"do": "check", "check": "' + check.encode() + b'", "answer": ' + text.encode() + b"}\n")
    print(check, text[:30], said[-300:])


def answers(check, *texts):
    for text in texts:
        answer(check, text)


answers(
    "diagnose-node",
    "[" * 960 + "]" * 960,
    '{"node": "\\ud800", "table": "\\u0000"}',
    '{"node": ' + "[" * 900 + "]" * 900 + "}",
)
answers("diagnose-rows", "NaN", "-Infinity", "1e999", "1" * 4000, '"' + "9" * 900_000 + '"', "1" + "0" * 400)
answers(
    "diagnose-blocks",
    "[" * 850 + "1" + "]" * 850,
    "true",
    "-0.0",
    "[[1]]",
    '{"a": ' * 300 + "1" + "}" * 300,
    "[" * 930 + "]" * 930,
)
try:
    lab.check("diagnose-blocks", "x" * 100_000_000)
except Exception as error:
    print(type(error), str(error)[:300])
