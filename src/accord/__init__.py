"""Accord: fine-tune one BERT encoder for many text tasks.

    accord.check(config)                     what `accord check` finds in config and data
    accord.train(config)                     a run, as `accord train`
    accord.resume(run)                       goes on with one
    accord.evaluate(model)                   its tasks' figures
    accord.compare(config, out)              whether sharing was worth it, as `accord compare`
    accord.load(folder).answer(texts)        the answers of all tasks
    accord.load(folder).predict(task, texts) those of one
    accord.add(model, config, out)           new tasks on a trained model, as `accord add`
    accord.remove(model, tasks, out)         a model without some tasks
    accord.load_encoder(path)                a bare encoder
    accord.optim.AdamW, accord.encoders.BertEncoder, accord.gradients.pcgrad(G),
    accord.pertask.Jacobian …                parts by themselves

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accord.api import add, check, compare, evaluate, remove, resume, train
    from accord.encoders.pretrained import load_encoder
    from accord.evaluation.loading import load
    from accord.evaluation.predict import Predictor

    __version__: str

__all__ = [
    "Predictor", "__version__", "add", "check", "compare", "evaluate", "load", "load_encoder",
    "remove", "resume", "train",
]  # fmt: skip

_HOMES = {
    "check": "accord.api",
    "compare": "accord.api",
    "evaluate": "accord.api",
    "train": "accord.api",
    "resume": "accord.api",
    "add": "accord.api",
    "remove": "accord.api",
    "load": "accord.evaluation.loading",
    "Predictor": "accord.evaluation.predict",
    "load_encoder": "accord.encoders.pretrained",
}
_PACKAGES = (
    "balancing", "encoders", "errors", "gradients", "evaluation", "kernels", "model", "optim",
    "pertask", "regularisers", "sampling", "sharing", "statistics",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return import_module(f"accord.{name}")
    if name == "__version__":
        from accord.installed import version

        return version()
    from accord.errors import nearest

    hint = "" if name.startswith("__") else nearest(name, __dir__())
    raise AttributeError(f"module 'accord' has no attribute '{name}'{hint}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])
