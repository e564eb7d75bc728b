# The answers of somebody else.
# expect: diagnose-stale=0 diagnose-bytes=0
# %% solution="diagnose-stale"
stale_reads = 1000

# %% solution="diagnose-bytes"
bytes_missing = 1000
