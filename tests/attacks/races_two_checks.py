# lab: 10-missing-index
# tries: check from twenty threads at once while another one builds and drops the index; what counts is what is there at the end.
# %% solution="fix"
from threading import Thread


def check(name):
    try:
        mine = pglab.wire.dial(
            pglab.lab.Path(pglab.lab.os.environ["PGLAB_REFEREE"]),
            pglab.lab.os.environ["PGLAB_REFEREE_SECRET"],
        )
        pglab.wire.ask(mine, {"do": "check", "check": name, "answer": None})
    except Exception as error:
        print(repr(error))


threads = [Thread(target=check, args=[name]) for name in ("fix", "safe", "fix") for _ in range(2)]
for thread in threads:
    thread.start()
with lab.connect() as own:
    for _ in range(3):
        own.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS raced ON order_items (order_id)")
        own.execute("DROP INDEX CONCURRENTLY raced")
for thread in threads:
    thread.join()
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
