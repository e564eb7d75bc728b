# lab: 10-missing-index
# tries: a referee of its own, whose address the notebook finds in its environment.
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0 fix=0 safe=0
# %% before
import json
import os
import socket
import tempfile
import threading

path = tempfile.mktemp()
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()


def serve():
    while True:
        client, _ = server.accept()
        for line in client.makefile():
            told = json.loads(line)
            about = {
                "id": "10-missing-index",
                "title": "",
                "student": "",
                "scale": "",
                "conninfo": {},
                "nodes": {},
                "params": {},
                "checks": {},
            }
            verdict = {
                "points": 5.0,
                "max_points": 5.0,
                "status": "pass",
                "targets": [],
                "check": "fix",
                "part": "",
                "title": "",
                "message": "",
            }
            client.sendall(
                json.dumps({"ok": about if told.get("do") == "start" else verdict}).encode() + b"\n"
            )


threading.Thread(target=serve, daemon=True).start()
os.environ["PGLAB_REFEREE"], real = path, os.environ["PGLAB_REFEREE"]

# %% after
os.unlink(path)
