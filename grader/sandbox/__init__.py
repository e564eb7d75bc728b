"""Where a student's code runs when somebody else grades it."""

from grader.sandbox.kernel import choose, sandboxed, unsandboxed
from grader.sandbox.limits import Limits

__all__ = ["Limits", "choose", "sandboxed", "unsandboxed"]
