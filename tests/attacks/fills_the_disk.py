# lab: 10-missing-index
# tries: all the disk there is.
# needs: sandbox
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
import os

for folder in (".", "/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~")):
    try:
        with open(f"{folder}/large", "wb") as f:
            for _ in range(100_000):
                f.write(b"x" * (1 << 20))
    except OSError as error:
        print(folder, error)
