# lab: 01-n-plus-one
# tries: send more kinds of statements than the server can count, so that it forgets some and nothing can be measured.
# expect: fix=0 safe=0
# %% solution="fix"
import workload


def get_order_summary(conn, user_id):
    with lab.connect() as own:
        for part in range(12):
            own.execute(
                "\n".join(
                    f"SELECT 1 AS a FROM users a{part} WHERE id = 0 AND {' AND '.join(['true'] * 1)} AND id IN ({', '.join(str(i) for i in range(2))}){' + 0' * 0};"
                    for n in range(1)
                ).encode()
            )
        kinds = ["id", "1", "'a'", "true", "1.5", "now()", "current_user", "random()", "pi()", "version()"]
        import itertools

        batch = []
        for number, chosen in enumerate(itertools.product(kinds, repeat=4)):
            batch.append(
                "SELECT "
                + ", ".join(chosen)
                + f" FROM users WHERE id = 0 {'ORDER BY 1' if number % 2 else ''}"
            )
            if len(batch) == 500:
                own.execute(";".join(batch).encode())
                batch.clear()
    return workload.get_order_summary(conn, user_id)
