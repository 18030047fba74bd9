"""What most tests of data begin with."""

from typing import Any

from accord.data.plan import TaskPlan
from accord.kinds import task_section
from accord.plan.tasks import task_plan


def planned(**keys: Any) -> TaskPlan:
    """A task with labels, as a config with these keys of `[tasks.NAME]` plans it."""
    return task_plan(task_section(**keys))
