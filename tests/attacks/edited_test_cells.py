# lab: 10-missing-index
# tries: write the points into the grade cells.
# expect: fix=0 safe=0
# %% solution="fix"
"nothing was mended"

# %% check="fix"
5.0

# %% check="safe"
4.0
