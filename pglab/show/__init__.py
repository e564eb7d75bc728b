"""What a notebook shows: plan trees, verdicts, tables and charts, each as HTML and as text."""

from pglab.show.charts import BeforeAfter, RequestsChart, before_after, chart_requests
from pglab.show.plans import PlanTree, plan_tree
from pglab.show.style import Shown
from pglab.show.tables import Table, table
from pglab.show.verdicts import VerdictView, verdict

__all__ = [
    "BeforeAfter",
    "PlanTree",
    "RequestsChart",
    "Shown",
    "Table",
    "VerdictView",
    "before_after",
    "chart_requests",
    "plan_tree",
    "table",
    "verdict",
]
