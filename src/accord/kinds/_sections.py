"""`[tasks.NAME]` as the config's schema takes it: the section of whatever kind it names."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from accord.config.tasks import AnyTaskConfig, TaskConfig
from accord.kinds._registry import all_kinds

if TYPE_CHECKING:
    AnyTask = AnyTaskConfig
    LabelledTask = TaskConfig
else:
    _sections = [kind.section for kind in all_kinds()]
    _labelled = [kind.section for kind in all_kinds() if kind.labelled]
    AnyTask = Annotated[reduce(or_, _sections), Field(discriminator="kind")]
    LabelledTask = Annotated[reduce(or_, _labelled), Field(discriminator="kind")]
