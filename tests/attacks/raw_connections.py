# lab: 10-missing-index
# tries: hundreds of connections from several processes that never say who they are, so that the server takes nobody else.
# expect: fix=0 safe=0
# needs: sandbox
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
import psycopg


def attempt(*statements):
    """Run each in a session of its own, and say what came of it."""
    for statement in statements:
        try:
            with lab.connect() as own:
                cursor = own.execute(statement.encode())
                print(
                    statement[:80], "->", cursor.fetchmany(20) if cursor.description else cursor.statusmessage
                )
        except psycopg.Error as error:
            print(statement[:80], "->", type(error).__name__, str(error).splitlines()[0])


import os
import socket
import time

for _ in range(3):
    os.fork()
kept = []
while True:
    try:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(2)
        s.connect(f"{lab.conninfo['host']}/.s.PGSQL.{lab.conninfo['port']}")
        kept.append(s)
    except OSError:
        time.sleep(0.1)
