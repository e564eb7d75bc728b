"""The laboratory: a real PostgreSQL that breaks, and what a notebook needs to find out why.

A notebook starts with `import pglab` and `lab = pglab.start("10-missing-index")`.
"""

from typing import TYPE_CHECKING, Any

from pglab.errors import PglabError

if TYPE_CHECKING:
    from pglab.lab import start

__version__ = "0.1.0"
__all__ = ["PglabError", "__version__", "start"]


def __getattr__(name: str) -> Any:
    # Lazily: `pglab status` must not wait for pandas and matplotlib, which only a notebook needs.
    if name == "start":
        from pglab.lab import start

        return start
    raise AttributeError(f"module 'pglab' has no attribute {name!r}")
