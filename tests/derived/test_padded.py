"""Over padded sequences a model says what it says over packed ones, and shares what it can."""

from collections import Counter

import numpy as np
import pytest
import torch

from accord.derived.padded import PaddedModel
from accord.encoders.blocks import Block
from accord.encoders.packing import TokenSequence, pack
from accord.kinds import kind_of, labelled_kind
from accord.model.multitask import MultitaskModel
from accord.sharing import scheme_names
from accord.tasks import Task

LENGTHS = (5, 1, 12, 2, 7, 3)


def sequences() -> list[TokenSequence]:
    rng = np.random.default_rng(0)
    return [
        TokenSequence(
            rng.integers(0, 37, length), first=int(rng.integers(1, length + 1)),
            spans=np.stack([np.arange(length), np.arange(length) + 1], 1),
        )
        for length in LENGTHS
    ]  # fmt: skip


def inputs(rows: list[TokenSequence], longest: int, each: int) -> list[torch.Tensor]:
    """Token ids, mask and types, [n, longest] or [n, each, longest]; what is padding is noise."""
    shape = (len(rows), longest)
    ids = torch.randint(0, 37, shape)
    mask, types = torch.zeros_like(ids), torch.ones_like(ids)
    for i, row in enumerate(rows):
        length = len(row.input_ids)
        ids[i, :length], mask[i, :length] = torch.from_numpy(row.input_ids), 1
        types[i, : row.first] = 0
    return [x if each == 1 else x.unflatten(0, (-1, each)) for x in (ids, mask, types)]


def reading(tasks: list[Task]) -> dict[tuple[bool, bool], list[int]]:
    """Numbers of tasks by what they read: two sequences, or two texts in one."""
    groups: dict[tuple[bool, bool], list[int]] = {}
    for number, task in enumerate(tasks):
        two = kind_of(task).units == "rows" and task.sequences == 2
        groups.setdefault((two, task.joins_texts), []).append(number)
    return groups


def wanted(model, number: int, rows: list[TokenSequence]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and answers as the packed model has them: of each row, token or candidate."""
    task = model.tasks[number]
    kind = labelled_kind(task)
    logits = model.heads[task.name](model.pooled(pack([rows]), [number])[0])
    if kind.units == "sequences":
        return logits, logits[:, 0]
    if kind.units == "words":
        return logits, logits.softmax(1)
    shares = kind.probabilities(task, logits)
    return logits, (kind.decode(task, logits) if shares is None else shares).float()


@pytest.mark.quick("schemes0", "schemes3")
@pytest.mark.parametrize("schemes", [(), ("lora", "adapter"), *((s,) for s in scheme_names())])
def test_padded_equals_packed_for_every_kind_and_part(model_of, tasks, schemes) -> None:
    tasks = tasks[::4] if schemes else tasks  # of all kinds, pooled in all ways
    model, rows = model_of(tasks, *schemes), sequences()
    for (two, _), numbers in reading(tasks).items():
        padded = PaddedModel(model, numbers)
        for longest in (12, 17) if not schemes else (17,):  # however much padding there is
            outputs = padded(*inputs(rows, longest, 2 if two else 1))
            for place, number in enumerate(numbers):
                logits, answers = outputs[2 * place : 2 * place + 2]
                if kind_of(tasks[number]).units == "words":
                    logits, answers = (
                        torch.cat([part[:n] for part, n in zip(x, LENGTHS, strict=True)])
                        for x in (logits, answers)
                    )
                expected = wanted(model, number, rows)
                low, high = (0, 1) if tasks[number].labels else tasks[number].range
                assert answers.dtype == torch.float32
                torch.testing.assert_close(logits, expected[0], rtol=1e-4, atol=1e-4)
                torch.testing.assert_close(
                    answers, expected[1], rtol=1e-4, atol=1e-5 * (high - low)
                )


def test_layers_are_computed_once_up_to_the_first_in_which_tasks_differ(model_of, tasks) -> None:
    single = [task for task in tasks if task.texts == 1 and kind_of(task).units == "rows"][:4]
    rows = inputs(sequences(), 12, 1)
    for schemes, blocks in (
        ((), 2), (("own-layers",), 1 + 4), (("adapter",), 2 * 4), (("own-encoder",), 2 * 4),
        (("task-norm", "lora"), 2 * 4),
    ):  # fmt: skip
        model = model_of(single, *schemes)
        padded, calls = PaddedModel(model, range(4)), Counter[Block]()
        for module in padded.modules():
            if isinstance(module, Block):
                module.register_forward_hook(lambda block, x, y, calls=calls: calls.update([block]))
        padded(*rows)
        assert calls.total() == padded.layers_computed == blocks
        alone = PaddedModel(model, [2])
        assert alone.layers_computed == 2
        for ours, theirs in zip(alone(*rows), padded(*rows)[4:6], strict=True):
            torch.testing.assert_close(ours, theirs)


def test_an_encoder_without_token_types_is_given_none(tiny_encoder, tasks) -> None:
    model = MultitaskModel(tiny_encoder(type_vocab_size=1), tasks[:1]).eval()
    rows = [TokenSequence(row.input_ids, len(row.input_ids)) for row in sequences()]
    ids, mask, _ = inputs(rows, 12, 1)
    logits, _ = PaddedModel(model, [0])(ids, mask)
    torch.testing.assert_close(logits, wanted(model, 0, rows)[0])


def test_the_model_is_left_as_it_was(model_of, tasks) -> None:
    model = model_of(tasks[:3], "lora", "own-layers")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    classes = [type(module) for module in model.modules()]
    PaddedModel(model, range(3))
    assert [type(module) for module in model.modules()] == classes
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
