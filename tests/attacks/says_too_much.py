# lab: 01-n-plus-one
# tries: errors and answers of megabytes, with markup and control characters, for whoever reads the verdict.
# expect: fix=0 safe=0 diagnose-tables=0
# %% solution="diagnose-tables"
repeated = ["<script>alert(1)</script>\x1b[31m\ud800", "x" * 500_000]


# %% solution="fix"
def get_order_summary(conn, user_id):
    pass


pglab.wire._run = lambda functions, message: {
    "id": message["id"],
    "raised": "<img src=x onerror=alert(1)>\x1b[2J\ud800" + "y" * 1_000_000,
}
