"""Parts that tasks have of their own: J stays what it is, and each part has its task's gradient."""

import pytest
import torch
from worlds import QUORA, SEPARATE, SST, STS, MakeEncoder, Split, World, assert_rows_close

from accord.model.multitask import HARD, MultitaskModel
from accord.model.parts import Sharing
from accord.sharing import get_scheme, scheme_names
from accord.tasks import Task

OPTIONS = {
    "lora": {"rank": 2}, "adapter": {"size": 3}, "pal": {"size": 4, "heads": 2},
    "own-layers": {"shared": 1},
}  # fmt: skip
EVERYWHERE = ["query", "key_value", "attention_output", "intermediate", "output"]
SHARINGS = {
    **{name: Sharing((name,), OPTIONS) for name in scheme_names()},
    "lora everywhere": Sharing(("lora",), {"lora": {"rank": 2, "dense": EVERYWHERE}}),
    "embeddings shared": Sharing(("own-layers",), {"own-layers": {"shared": 0}}),
    "all": Sharing(("own-layers", "lora", "adapter", "pal", "task-norm"), OPTIONS),
}
PLAIN = [name for name in scheme_names() if not get_scheme(name).copies]
every_sharing = pytest.mark.parametrize("name", SHARINGS)
MIXES = {"mean": [SST, SEPARATE, STS], "cls": [STS, QUORA]}


@every_sharing
@pytest.mark.parametrize(
    ("mix", "limit"),
    [
        ("mean", 30),
        ("cls", None),
        pytest.param("mean", None, marks=pytest.mark.slow),
        pytest.param("cls", 30, marks=pytest.mark.slow),
    ],
)
def test_one_backward_equals_separate_ones(
    name: str, mix: str, limit: int | None, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    tasks = MIXES[mix]
    weights = [0.5 + i for i in range(len(tasks))]
    made = World(tasks, tiny_encoder(), random_split, weights, SHARINGS[name])
    batch = made.batch([3, 2, 4][: len(tasks)], limit)
    record = made.step(batch)
    losses, J = made.separate(batch)
    kept = torch.cat([torch.full((p.numel(),), p.requires_grad) for p in made.columns()])
    w = 0.7 * torch.arange(1.0, len(J) + 1) * torch.tensor(weights)
    close = assert_rows_close if bool(J[:, kept].any(1).all()) else torch.testing.assert_close
    close(made.jacobian.J, J[:, kept])
    close(made.written()[None], ((w @ J) * kept)[None])
    total = [made.written()]
    for i, (loss, weight) in enumerate(zip(losses, weights, strict=True)):
        parameters = made.model.own_parameters(i)
        grads = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        for parameter, ours in zip(parameters, grads, strict=True):
            if ours is None:
                assert parameter.grad is None
                continue
            torch.testing.assert_close(parameter.grad, ours * weight, rtol=1e-4, atol=1e-6)
            total.append(parameter.grad.flatten())
    assert record.gradient_norm == pytest.approx(float(torch.cat(total).norm()), rel=1e-4)


@pytest.mark.parametrize("name", [*PLAIN, "lora everywhere"])
@pytest.mark.parametrize("mix", MIXES)
def test_new_parts_change_nothing_to_the_bit(
    name: str, mix: str, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    tasks = MIXES[mix]
    encoder = tiny_encoder()
    world = World(tasks, encoder, random_split)
    batch = world.batch()
    plain = MultitaskModel(encoder, tasks, HARD)
    multitask_model = MultitaskModel(encoder, tasks, SHARINGS[name])
    (micro,) = batch.passes
    present = range(len(tasks))
    for one, other in zip(
        plain.pooled(micro.inputs, present),
        multitask_model.pooled(micro.inputs, present),
        strict=True,
    ):
        assert torch.equal(one, other)


@every_sharing
def test_a_task_s_vectors_do_not_depend_on_the_others(
    name: str, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """Nor on which of them are in the batch: parts are found by task, not by place."""
    tasks = MIXES["mean"]
    made = World(tasks, tiny_encoder(), random_split, sharing=SHARINGS[name])
    together = made.batch([3, 2, 3])
    alone = made.batch([0, 2, 0])
    (micro,), (single,) = together.passes, alone.passes
    actual = made.model.pooled(micro.inputs, together.present)[1]
    (wanted,) = made.model.pooled(single.inputs, alone.present)
    assert together.rows[1].tolist() == alone.rows[0].tolist()
    torch.testing.assert_close(actual, wanted, rtol=1e-5, atol=1e-6)
    other = made.model.pooled(single.inputs, [0])[0]
    assert not torch.allclose(other, wanted, atol=1e-3)


def test_pals_at_bert_base_have_the_paper_s_share() -> None:
    """Stickland & Murray 2019: 8 tasks take 1.13 times BERT-base's parameters."""
    from accord.encoders.families.bert import BertConfig, BertEncoder

    with torch.device("meta"):
        encoder = BertEncoder(BertConfig())
        tasks = [SST.__class__(**{**vars(SST), "name": f"task{i}"}) for i in range(8)]
        model = MultitaskModel(encoder, tasks, Sharing(("pal",)))
    base = sum(p.numel() for p in encoder.parameters())
    parts = sum(p.numel() for p in model.parts.parameters())  # type: ignore[union-attr]
    assert 1 + parts / base == pytest.approx(1.13, abs=0.005)


def test_a_seed_draws_the_same_head_alone_beside_others_and_with_parts(
    tiny_encoder: MakeEncoder,
) -> None:
    """So that runs of one seed differ in what is compared alone."""

    def drawn(tasks: list[Task], sharing: Sharing) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        return dict(MultitaskModel(tiny_encoder(), tasks, sharing).heads.state_dict())

    together = drawn([SST, SEPARATE, STS], HARD)
    for sharing in SHARINGS.values():
        ours = drawn([SST, SEPARATE, STS], sharing)
        assert all(torch.equal(ours[name], value) for name, value in together.items())
    alone = drawn([STS], HARD)
    assert all(torch.equal(together[name], value) for name, value in alone.items())
    weights = [value for name, value in together.items() if name.endswith("weight")]
    assert not torch.equal(weights[0][0], weights[-1][0])
