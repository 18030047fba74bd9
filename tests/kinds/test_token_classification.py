"""The words that a model sees, entities with their place in a text, and figures of types."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from tagged import KIND, TYPES, WORDS, drawn_codes, task_of

from accord.config.file import parse_config
from accord.encoders.units import Units
from accord.errors import ConfigError
from accord.kinds import labelled_kind, task_section
from accord.kinds._entities import entities_of, tags_of_types
from accord.kinds._spans import Span, codes_of_spans, word_places
from accord.kinds.token_classification import TokenTask


def test_a_section_says_what_does_not_go_together() -> None:
    for keys, words in (
        ({"head": "cosine"}, "head: 'cosine' needs"),
        ({"loss": "mse"}, "loss: kind 'token-classification' takes 'cross_entropy', got 'mse'"),
        ({"metric": "accuracy"}, "metric: kind 'token-classification' is evaluated by entity_f1"),
        ({"targets": "popart"}, "targets: 'popart' is for regression"),
        ({"positive": "O"}, "positive: is for classification"),
        ({"range": [0, 1]}, "range: is for regression"),
        ({"encoding": "separate"}, "encoding: 'separate' is for pairs"),
        ({"text": ["a", "b"]}, "text: kind 'token-classification' takes one column, got 2"),
        ({"repair": True, "scheme": "plain"}, "repair: is for tags of entities"),
        ({"labels": ["O"]}, "labels: takes two or more different names"),
        ({"pooling": "cls"}, "pooling"),
        ({"scheme": "bilou"}, "scheme"),
    ):
        with pytest.raises(ValueError, match=words.split(":", maxsplit=1)[0]) as caught:
            task_section(kind=KIND, **{"text": "t", **keys})
        assert words in str(caught.value)
    with pytest.raises(ConfigError, match="pair-token-classification"):
        parse_config({"encoder": {"path": "e"},
                      "tasks": {"t": {"kind": f"pair-{KIND}", "text": "t"}}})  # fmt: skip


def units(sizes: list[int], seen: list[list[int]]) -> Units:
    """Units of rows of so many words, of which only some have a vector."""
    example = [i for i, places in enumerate(seen) for _ in places]
    place = [i for places in seen for i in places]
    return Units(*map(torch.tensor, (example, place, sizes)), np.array(sizes))


@pytest.mark.parametrize("scheme", ["bio", "iobes", "plain"])
def test_words_that_the_model_does_not_see_are_answered_o_and_not_learnt(scheme: str) -> None:
    task, generator = task_of(scheme), torch.Generator().manual_seed(0)
    kind, tags = labelled_kind(task), len(task.labels)
    sizes, seen = [4, 1, 3, 2], [[0, 2, 3], [0], [], [1]]
    vectors = torch.randn(sum(map(len, seen)), tags, generator=generator, requires_grad=True)
    logits = kind.arranged(task, vectors, units(sizes, seen))
    assert logits.shape == (4, 4, tags)
    assert not kind.failed(logits.detach()).any()
    rows = [[0] * size for size in sizes]
    codes = kind.target_form(task).array(rows)
    wanted = kind.targets(task, torch.from_numpy(codes))
    losses, at = kind.loss(task, logits, wanted), 0
    for row, places in enumerate(seen):
        of_row = vectors[at : at + len(places)]
        at += len(places)
        expected = -of_row.log_softmax(1)[:, 0].mean() if places else torch.zeros(())
        torch.testing.assert_close(losses[row], expected)
    (gradient,) = torch.autograd.grad(losses.sum(), [vectors])
    assert bool(gradient.isfinite().all())
    answers = kind.answers(task, kind.decode(task, logits.detach()).numpy())
    assert [len(answer) for answer in answers] == sizes
    for answer, places in zip(answers, seen, strict=True):
        unseen = set(range(len(answer))) - set(places)
        assert all(answer[i] == "O" for i in unseen)
    shares = kind.probabilities(task, logits.detach())
    assert shares[2, 1, task.labels.index("O")] == 1.0
    together = kind.mean_logits(task, [logits.detach(), logits.detach() + 0.0])
    torch.testing.assert_close(kind.probabilities(task, together), shares, atol=1e-6, rtol=0)
    other = kind.arranged(
        task, vectors.detach() + 1.5 * torch.randn(vectors.shape), units(sizes, seen)
    )
    apart = kind.divergence(task, logits.detach(), other)
    assert bool(apart.isfinite().all())
    assert apart[2] == 0
    assert bool((apart[[0, 1, 3]] > 0).all())


def test_members_that_see_unlike_words_are_averaged_where_one_sees() -> None:
    task = task_of()
    kind, tags = labelled_kind(task), len(task.labels)
    one = kind.arranged(task, torch.randn(2, tags), units([2], [[0, 1]]))
    other = kind.arranged(task, torch.randn(1, tags), units([2], [[0]]))
    together = kind.mean_logits(task, [one, other])
    wanted = (kind.probabilities(task, one) + kind.probabilities(task, other)) / 2
    torch.testing.assert_close(kind.probabilities(task, together), wanted, atol=1e-6, rtol=0)
    assert not kind.failed(together).any()


def test_entities_have_their_place_in_the_text_as_it_was_given() -> None:
    rng, task = random.Random(1), task_of()
    kind, tags = labelled_kind(task), len(task.labels)
    for seed in range(30):
        text = "  " * (seed % 3) + rng.choice([" ", "\n", ""]).join(rng.choices(WORDS, k=6)) + "! "
        places = word_places(text, task.words)
        codes = drawn_codes(rng, len(places))
        sure = 9.0 * torch.nn.functional.one_hot(torch.tensor([codes]), tags).float()
        words = [text[start:stop] for start, stop in places]
        for given in (text, words):
            (entities,) = kind.details(task, sure, [given])["entities"]
            again = [(one["start"], one["end"], one["label"]) for one in entities]
            assert len(again) == sum(code % 2 for code in codes)
            for one in entities:
                shown = given[one["start"] : one["end"]]
                assert one["text"] == (shown if isinstance(given, str) else " ".join(shown))
                assert 0.9 < one["probability"] <= 1
            if given is text:
                spans = [Span(*place) for place in again]
                assert codes_of_spans(text, places, spans, TYPES) == codes
    assert kind.details(task, sure, None) == {}


def test_tags_with_spaces_in_their_names_survive_a_table() -> None:
    for name in ("movie name", "movie\u00a0name", "movie\u2003name", "a\tb"):
        labels = tags_of_types([name, "who"], "bio")
        task = TokenTask("t", KIND, "cross_entropy", "entity_f1", labels=labels, scheme="bio",
                         pooling="first")  # fmt: skip
        kind, codes = labelled_kind(task), [[1, 2, 0], [3], [0, 0, 0, 0]]
        values = kind.target_form(task).array(codes)
        cells = [kind.cell(task, answer) for answer in kind.answers(task, values)]
        np.testing.assert_array_equal(kind.read_answers(task, cells), values)


def test_figures_of_types_are_those_of_the_sets_of_entities() -> None:
    """An entity of the same words and another type is taken for that type; others for none."""
    for seed in range(20):
        rng, task = random.Random(seed), task_of(("bio", "iobes")[seed % 2])
        kind, sizes = labelled_kind(task), [rng.randint(1, 9) for _ in range(12)]
        form = kind.target_form(task)
        true, said = ([drawn_codes(rng, size) for size in sizes] for _ in range(2))
        said = [rng.choice(pair) for pair in zip(true, said, strict=True)]
        each = kind.by_class(task, form.array(true), form.array(said).astype(float))
        wanted, told = (
            {(i, *entity) for i, row in enumerate(of) for entity in entities_of(np.array(row))}
            for of in (true, said)
        )
        for number, name in enumerate(TYPES):
            ours, theirs = ({e for e in of if e[1] == number} for of in (told, wanted))
            right = len(ours & theirs)
            row = each.to_json()["classes"][name]
            assert row["support"] == len(theirs)
            assert row["precision"] == pytest.approx(right / max(len(ours), 1))
            assert row["recall"] == pytest.approx(right / max(len(theirs), 1))
        there, answered = ({(i, a, b): TYPES[number] for i, number, a, b in of}
                           for of in (wanted, told))  # fmt: skip
        pairs = Counter(
            (there.get(at, "(no entity)"), answered.get(at, "(no entity)"))
            for at in there | answered
        )
        table = each.to_json()["confusion"]
        assert {(one, other): n for one, row in table.items() for other, n in row.items()} == pairs


def test_smoothing_is_of_each_word_and_of_training_alone() -> None:
    task, plain = task_of(label_smoothing=0.3), task_of()
    kind, codes = labelled_kind(task), torch.tensor([[1, 2, 0], [3, -1, -1]])
    logits = torch.randn(2, 3, len(task.labels), generator=torch.Generator().manual_seed(0))
    logits[1, 1:] = float("-inf")
    wanted = kind.targets(task, codes)
    assert torch.equal(kind.loss(task, logits, wanted), kind.loss(plain, logits, wanted))
    smooth = torch.nn.functional.cross_entropy(
        logits[0], codes[0], reduction="none", label_smoothing=0.3
    )
    torch.testing.assert_close(kind.training_loss(task, logits, wanted)[0], smooth.mean())
