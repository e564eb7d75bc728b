"""Verdicts: the referee, its checks, and the way into nbgrader's gradebook. Imports pglab, never the reverse."""
