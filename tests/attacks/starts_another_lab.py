# lab: 10-missing-index
# tries: open other labs, and paths that are none, in the session of this one.
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
for name in (
    "01-n-plus-one",
    "30-replica-lag",
    "../10-missing-index",
    "",
    "/etc",
    "10-missing-index/..",
    "\x00",
    "10-missing-index",
):
    try:
        print(pglab.wire.ask(lab._channel, {"do": "start", "lab": name})["id"])
    except Exception as error:
        print(error)
