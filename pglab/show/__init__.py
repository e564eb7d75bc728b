"""What a notebook shows: plan trees, verdicts, tables and charts, each as HTML and as text."""

from pglab.show.charts import BeforeAfter, RequestsChart, before_after, chart_requests
from pglab.show.plans import PlanTree, plan_tree
from pglab.show.series import Lanes, Timeline, lanes, timeline
from pglab.show.style import Shown
from pglab.show.tables import Figure, Table, table
from pglab.show.verdicts import VerdictView, verdict

__all__ = [
    "BeforeAfter",
    "Figure",
    "Lanes",
    "PlanTree",
    "RequestsChart",
    "Shown",
    "Table",
    "Timeline",
    "VerdictView",
    "before_after",
    "chart_requests",
    "lanes",
    "plan_tree",
    "table",
    "timeline",
    "verdict",
]
