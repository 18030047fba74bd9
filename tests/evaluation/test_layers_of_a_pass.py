"""One pass computes as many encoder layers as are said of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from torch import Tensor, nn

from accord.encoders.families.bert import BertEncoder
from accord.encoders.packing import TokenSequence
from accord.evaluation.packed import packed_inputs
from accord.evaluation.pooling import encoded
from accord.model.layers_computed import layers_computed
from accord.model.multitask import MultitaskModel
from accord.model.parts import Sharing
from accord.sharing import scheme_names
from accord.tasks import Task

TEXT = Task("a", "classification", "cross_entropy", "accuracy", ("0", "1"), pooling="mean")
PAIR = Task("p", "pair-regression", "mse", "pearson", pooling="mean")
APART = replace(PAIR, name="s", encoding="separate")
MIXES = [
    [TEXT],
    [TEXT, replace(TEXT, name="b"), replace(TEXT, name="c")],
    [TEXT, PAIR, replace(PAIR, name="q")],
    [TEXT, replace(TEXT, name="b"), PAIR, APART, replace(APART, name="t")],
]
OPTIONS = {
    "lora": {"rank": 2}, "adapter": {"size": 3}, "pal": {"size": 4, "heads": 2},
    "own-layers": {"shared": 2},
}  # fmt: skip
SCHEMES = [(), *((name,) for name in scheme_names()), ("own-layers", "adapter")]
LAYERS = 4


@pytest.mark.slow
def test_a_pass_computes_the_layers_that_are_counted(
    tiny_encoder: Callable[..., BertEncoder],
    random_sequences: Callable[..., list[TokenSequence]],
) -> None:
    length = 7
    text, pair, first, second = random_sequences([length] * 4, low=5)
    tokens: list[int] = []

    def count(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        tokens.append(len(arguments[0]))

    for schemes in SCHEMES:
        for tasks in MIXES:
            encoder = tiny_encoder(num_hidden_layers=LAYERS)
            sharing = Sharing(schemes, OPTIONS)
            model = MultitaskModel(encoder, tasks, sharing)
            for layer in model.encoder.layers:
                layer.register_forward_hook(count)
            examples = {1: [text], 2: [pair]}
            groups = [
                [[first, second] if task.encoding == "separate" else examples[task.texts]]
                for task in tasks
            ]
            tokens.clear()
            encoded(model, packed_inputs(model, groups))
            expected = layers_computed(sharing, tasks, LAYERS).layers
            assert sum(tokens) == expected * length, (schemes, [task.name for task in tasks])
