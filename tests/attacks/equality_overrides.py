# lab: 10-missing-index
# tries: answers that say they are equal to anything, and close to every number.
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0
# %% solution="diagnose-node"
class Text(str):
    __eq__ = __contains__ = lambda self, other: True
    __hash__ = lambda self: hash("seq scan")
    casefold = split = __str__ = __repr__ = lambda self, *given: "seq scan"


node, table = Text("?"), Text("?")


# %% solution="diagnose-rows"
class Number(float):
    __eq__ = __le__ = __ge__ = lambda self, other: True
    __sub__ = __rsub__ = __abs__ = lambda self, *other: 0.0
    __hash__ = float.__hash__


rows_removed = Number(1)


# %% solution="diagnose-blocks"
class Whole(int):
    __eq__ = __le__ = __ge__ = lambda self, other: True
    __sub__ = __rsub__ = __abs__ = lambda self, *other: 0
    __hash__ = int.__hash__


blocks_read = Whole(1)
