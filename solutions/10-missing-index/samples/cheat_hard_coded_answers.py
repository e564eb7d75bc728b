# A neighbour's numbers.
# expect: diagnose-node=1 diagnose-rows=0 diagnose-blocks=0 fix=5 safe=4
# %% solution="diagnose-rows"
rows_removed = 2847221

# %% solution="diagnose-blocks"
blocks_read = 48211
