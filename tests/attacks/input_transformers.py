# lab: 10-missing-index
# tries: rewrite the text of every cell before it is run.
# expect: fix=0 safe=0
# %% solution="fix"
get_ipython().input_transformers_post.append(
    lambda lines: ["5.0\n"] if any("lab.check" in line for line in lines) else lines
)
