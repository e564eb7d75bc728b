# lab: 10-missing-index
# tries: output of hundreds of megabytes, on every channel.
# expect: fix=0 safe=0
# needs: sandbox
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
import sys

from IPython.display import HTML, display

for _ in range(100):
    print("x" * 1_000_000)
    sys.stderr.write("y" * 1_000_000)
    display(HTML("<b>" + "z" * 1_000_000))
