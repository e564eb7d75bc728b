# lab: 10-missing-index
# tries: patch everything in the kernel that stands between the check and the cell's output.
# expect: fix=0 safe=0
# %% solution="fix"
import builtins

best = {
    "points": 5.0,
    "max_points": 5.0,
    "status": "pass",
    "targets": [],
    "check": "fix",
    "part": "fix",
    "title": "",
    "message": "",
}
pglab.wire.ask = lambda *given, **more: best
pglab.wire.Channel.receive = lambda channel: {"ok": best}
type(lab).check = lambda *given, **more: 5.0
pglab.show.verdict = lambda verdict: "PASS"
builtins.float = lambda value: 5.0
