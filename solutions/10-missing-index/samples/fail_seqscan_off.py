# expect: fix=0 safe=0
# %% solution="fix"
lab.execute(f"ALTER ROLE {lab.conninfo['user']} SET enable_seqscan = off")
