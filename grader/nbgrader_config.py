"""nbgrader's configuration, for its commands and for JupyterLab: JUPYTER_CONFIG_PATH=<root>/grader finds it.

PGLAB_COURSE=<folder> keeps a class's files out of the checkout: labs/, submitted/, autograded/, feedback/ and
gradebook.db are there then.
"""

import contextlib
import os
import shutil
import sys
from pathlib import Path

_checkout = Path(__file__).resolve().parent.parent
if str(_checkout) not in sys.path:
    sys.path.insert(0, str(_checkout))

from grader.build import private_names  # noqa: E402
from grader.notebook import CODE_STUB, TEXT_STUB  # noqa: E402
from pglab.home import course_root  # noqa: E402

if not shutil.which("alembic"):
    # nbgrader calls it by name to make a gradebook, and an environment that is not activated is not on PATH
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))

_root = course_root().resolve()
_course = Path(os.environ.get("PGLAB_COURSE") or _root).resolve()

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.CourseDirectory.course_id = "pglab"
c.CourseDirectory.root = str(_course)
if os.environ.get("PGLAB_GRADEBOOK"):
    c.CourseDirectory.db_url = os.environ["PGLAB_GRADEBOOK"]
c.CourseDirectory.source_directory = "solutions" if _course == _root else str(_root / "solutions")
c.CourseDirectory.release_directory = "labs"
# nbgrader copies what is not named here, to labs/ and to every student.
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", *private_names(_root)]

# labs/ is committed: without force nbgrader finds it there, skips it, and the gradebook never knows the lab.
c.GenerateAssignment.force = True
c.ClearSolutions.code_stub = CODE_STUB
c.ClearSolutions.text_stub = TEXT_STUB

c.Autograde.sanitize_preprocessors = [
    "nbgrader.preprocessors.ClearOutput",
    "grader.preprocessors.RepairCells",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "grader.preprocessors.RefereedExecute",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "grader.preprocessors.NoteSandbox",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.RefereedExecute.sandbox = os.environ.get("PGLAB_SANDBOX", "bubblewrap")
c.ExportApp.plugin_class = "grader.export.GradedExport"

# Formgrader warns where this is missing. A class on a shared machine needs a folder that all of it can write.
c.Exchange.root = os.environ.get("PGLAB_EXCHANGE") or str(_course / "exchange")
with contextlib.suppress(OSError):  # a read-only course folder: there is nothing to exchange then
    Path(c.Exchange.root).mkdir(exist_ok=True)
