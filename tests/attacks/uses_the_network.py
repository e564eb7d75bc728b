# lab: 10-missing-index
# tries: send what it has to somewhere, and listen for the others.
# needs: sandbox
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
import socket
import urllib.request

for family, address in (
    (socket.AF_INET, ("127.0.0.1", 22)),
    (socket.AF_INET, ("1.1.1.1", 53)),
    (socket.AF_INET, ("127.0.0.1", int(lab.conninfo["port"]))),
):
    with socket.socket(family) as s:
        s.settimeout(2)
        try:
            s.connect(address)
            lab.execute("DROP INDEX order_items_order_id_idx")  # got out: no points
        except OSError as error:
            print(address, error)
with socket.socket() as s:
    try:
        s.bind(("0.0.0.0", 0))
        print(s.getsockname())
    except OSError as error:
        print(error)
