"""TensorBoard: event files in the run's folder, `tensorboard --logdir RUN/tensorboard`."""

from __future__ import annotations

from collections.abc import Mapping

from accord.tracking._place import Place, Tracker

PACKAGES = ("tensorboard",)


class TensorBoard:
    """Writes event files; of a resumed run what came after its checkpoint is shown no more."""

    identity = None

    def __init__(self, place: Place) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        folder = str(place.folder / "tensorboard")
        self._writer = SummaryWriter(folder, purge_step=place.step + 1)
        lines = [f"    {key} = {value}" for key, value in place.flat.items()]
        self._writer.add_text("config", "\n".join(lines), place.step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write figures of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, done: bool) -> None:
        """Close the file."""
        self._writer.close()


def begin(place: Place) -> Tracker:
    """Begin, or go on."""
    return TensorBoard(place)
