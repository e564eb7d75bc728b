# lab: 10-missing-index
# tries: open a hundred connections to the referee, half of them without the secret, and keep them.
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
import json
import os
import socket

kept = []
for number in range(100):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    try:
        s.connect(os.environ["PGLAB_REFEREE"])
        if number % 2:
            s.sendall(json.dumps({"hello": os.environ["PGLAB_REFEREE_SECRET"]}).encode() + b"\n")
    except OSError:
        pass
    kept.append(s)
