# lab: 23-pool-exhaustion
# tries: keep every connection of the server open, so that the judge's pooler finds none and nothing can be measured.
# expect: fix=6 safe=3
# takes: long
# %% after
import psycopg

kept = []
try:
    while len(kept) < 500:
        kept.append(lab.connect(connect_timeout=5))
except psycopg.Error as error:
    print(len(kept), error)
for check in ("fix", "safe"):
    lab.check(check, {"ini": ini, "service_pool": service_pool})
