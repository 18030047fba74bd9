"""Whether the files of runs that are yet to be trained are those that earlier ones were trained on.

They are read again as a grid or a search goes on, and compared with what the runs that were begun
have recorded of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from accord.comparison.unchanged import Material, change_error, changes_between
from accord.config.sections import Config
from accord.durable import write_atomic
from accord.errors import UsageError
from accord.plan.making import plan_run
from accord.plan.recorded import recorded_config
from accord.runs.contents import Contents
from accord.runs.folder import STATUS, RunFolder
from accord.training.resuming import encoder_contents
from accord.training.setup import prepare
from accord.training.stages.preflight import preflight
from accord.training.stages.record import merged_data
from accord.training.stages.stage import stages_of
from accord.untrusted import read_json

FORCED = "forced.json"


def forced(out: Path) -> list[str]:
    """Return the changes of files that a grid or a search was forced to go on with."""
    try:
        return list(map(str, read_json(out / FORCED)))
    except (OSError, ValueError, TypeError):
        return []


class Sameness:
    """Keeps watch that several runs are of the same files.

    Args:
        out: the folder of the grid or the search, where changes that were forced are recorded.
        force: go on with every change from now on.
        say: told of changes that are accepted.

    Attributes:
        agreed: identities of the changes that were forced, now or before.
    """

    def __init__(self, out: Path, force: bool, say: Callable[[str], None]) -> None:
        self.out, self.force, self.say, self.agreed = out, force, say, forced(out)
        self._known: dict[Path, Material] = {}

    def check(self, folders: Sequence[Path], configs: Iterable[Config] = ()) -> None:
        """Check that some runs, and what their files hold now, are of the same files.

        Args:
            folders: of runs; those that were not begun don't count.
            configs: whose files are read as they are now, those of the same files once.

        Raises:
            RunFolderError: naming the file and two runs, unless it was forced.
        """
        begun = [*self._begun(folders)]
        now = _present(configs) if begun else ()
        differing = {
            change.identity: change for change in changes_between([*begun, *now])
            if change.identity not in self.agreed
        }  # fmt: skip
        if not differing:
            return
        if not self.force:
            raise change_error([*differing.values()])
        self.agreed += differing
        write_atomic(self.out / FORCED, json.dumps(self.agreed, indent=2) + "\n")
        for change in differing.values():
            self.say(f"warning: going on although {change}")

    def _begun(self, folders: Sequence[Path]) -> Iterator[Material]:
        for folder in folders:
            if folder not in self._known and (folder / STATUS).exists():
                run = RunFolder(folder)
                try:
                    contents = Contents(run.read_json("resolved.json"))
                    material = Material(str(folder), recorded_config(run), contents)
                except UsageError:
                    continue  # it can't be compared, and whoever compares it will say so
                yield material
                if run.state() in ("done", "pruned"):
                    self._known[folder] = material
            elif folder in self._known:
                yield self._known[folder]


def _present(configs: Iterable[Config]) -> Iterator[Material]:
    """Yield what runs of some configs would be made from now."""
    for config in {_files(config): config for config in configs}.values():
        try:
            yield Material("", config, Contents(_contents(config)))
        except UsageError:
            continue  # the run itself will say so, and stop no other


def _contents(config: Config) -> dict[str, Any]:
    plan = plan_run(config)
    if not plan.staged:
        setup = prepare(plan.only)
        return {"data": setup.data.contents(), "encoder": encoder_contents(setup)}
    stages = [preflight(stage).contents for stage in stages_of(plan, Path())]
    return {"data": merged_data(stages), "encoder": stages[0]["encoder"]}


def _files(config: Config) -> str:
    """Return what the content of a run's files goes by."""
    table = config.model_dump(mode="json")
    keys = [table[key] for key in ("tasks", "texts", "encoder", "memory", "stages")]
    seed = config.training.seed if config.encoder.reinit_layers else None
    return json.dumps([keys, config.training.dev_share, seed])
