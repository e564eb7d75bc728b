# lab: 10-missing-index
# tries: check, reset, and have the points of before the reset.
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0 fix=0 safe=0
# %% after
lab.reset()
