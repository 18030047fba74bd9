"""A trained model, ready to answer: texts in, answers of all its tasks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from accord.data.loader import Assembler
from accord.data.tokenizing import load_tokenizer, special_ids
from accord.evaluation.answerer import Answerer
from accord.evaluation.member import Member, Members
from accord.evaluation.texts import TextReader
from accord.kernels.matmul import DEFAULT, MatmulPolicy
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat


class Predictor(Answerer):
    """A model folder's encoder and heads with their tokenizer; or the first of an ensemble's.

    `tasks` are those that the model serves.

    Args:
        model: encoder and heads.
        inputs: how each task's files name their columns.
        max_length: tokens that a sequence may have.
        folder: where the tokenizer is.
        matmul: in what precision, and how this machine multiplies.
        others: an ensemble's other members, whose answers are averaged with this one's.
        thresholds: of an ensemble's tasks; default: the model's own.
    """

    def __init__(
        self,
        model: MultitaskModel,
        inputs: dict[str, InputFormat],
        max_length: int,
        folder: Path,
        matmul: MatmulPolicy = DEFAULT,
        others: Sequence[Predictor] = (),
        thresholds: Mapping[str, tuple[float, ...]] = MappingProxyType({}),
    ) -> None:
        self.members = (self, *others)
        self.model, self.matmul = model, matmul
        tokenizer = load_tokenizer(folder)
        reader = TextReader(tokenizer, Assembler(special_ids(tokenizer), max_length))
        self._own = Member(model, reader, matmul, folder)
        tasks = [
            replace(task, thresholds=thresholds.get(task.name, task.thresholds))
            for task in model.tasks
        ]
        members = Members((self._own, *(other._own for other in others)))
        super().__init__(tasks, inputs, reader, folder, members, model.encoder.word_table.device)
