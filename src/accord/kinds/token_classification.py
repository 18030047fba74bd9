"""A tag for each word: entities of several words by a scheme, or any tags, such as parts of
speech."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field

from accord.config.tasks import LabelSmoothingKey, LossKey, MetricKey, TaskConfig
from accord.data.labels import HIDDEN, MOST_LABELS, NO_LISTS, LabelParser, quoted, sort_labels
from accord.errors import ConfigError, nearest
from accord.kinds._entities import (
    LETTERS,
    OUTSIDE,
    Place,
    Scheme,
    Span,
    Words,
    codes_of,
    codes_of_spans,
    entities_of,
    scheme_of,
    tags_of,
    tags_of_types,
    type_of,
    word_places,
)
from accord.kinds._kind import TargetForm, TrainingLabels
from accord.kinds._labelled import (
    LabelledKind,
    Summary,
    class_faults,
    metric_faults,
    shape_faults,
    shared_fields,
)
from accord.metrics import ByClass, get_metric
from accord.spelling import canonical_label
from accord.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accord.data.plan import TaskPlan
    from accord.encoders.units import Units
    from accord.kinds._kind import Array

_LEAST = 1e-15  # a probability whose logarithm is still a number of some use
_METRICS = {True: "entity_f1", False: "word_accuracy"}


class TokenConfig(TaskConfig):
    """`[tasks.NAME]` with `kind = "token-classification"`."""

    kind: Literal["token-classification"]
    pooling: Literal["first", "mean"] = Field(  # type: ignore[assignment]
        "first", description="What the head sees of a word: its first token, or the mean of all."
    )
    scheme: Scheme | None = Field(
        None,
        description="How tags mark entities: 'bio' (B-x begins one, I-x goes on), 'iobes' (E-x ends"
        " one, S-x is a word alone), or 'plain', any tags; default: that of most tags.",
    )
    repair: bool = Field(
        default=False,
        description="Whether tags that break the scheme are read as the entities that they most"
        " likely mean, as an I-x behind O begins one; else such a row is a bad one.",
    )
    words: Words = Field(
        "marks",
        description="What the words are of a text that is no list: 'marks': runs of letters and"
        " digits, and each other character; 'spaces': what spaces divide.",
    )
    loss: LossKey = None
    metric: MetricKey = None
    label_smoothing: LabelSmoothingKey = 0.0

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the shape, the metric and the tags."""
        yield from shape_faults(self)
        yield from metric_faults(self, KIND.metrics)
        yield from class_faults(self, least=2)
        if self.loss not in (None, *KIND.losses):
            yield f"loss: kind '{self.kind}' takes '{KIND.losses[0]}', got '{self.loss}'"
        if self.positive is not None:
            yield f"positive: is for classification, but kind is '{self.kind}'"
        if self.repair and self.scheme == "plain":
            yield "repair: is for tags of entities, but scheme is 'plain'"


@dataclass(frozen=True)
class TokenTask(Task):
    """A task whose words have tags.

    Attributes:
        scheme: how tags mark entities.
        repair: whether tags that break it are taken for the entities that they most likely mean.
        words: what the words of a text are.
    """

    scheme: Scheme = "plain"
    repair: bool = False
    words: Words = "marks"

    @property
    def marks_entities(self) -> bool:
        """Whether tags mark entities."""
        return self.scheme != "plain"

    @property
    def types(self) -> tuple[str, ...]:
        """The types of entities, in the order of their tags."""
        if not self.marks_entities:
            return ()
        return tuple(tag[2:] for tag in self.labels[1 :: len(LETTERS[self.scheme])])

    @property
    def outside(self) -> int:
        """The index of the tag of words that the model doesn't see."""
        return self.labels.index(OUTSIDE) if OUTSIDE in self.labels else 0


class TagParser(LabelParser):
    """Turns a row's tags, or its spans, into the words' codes (`accord.kinds._entities`), or the
    indices of plain tags."""

    def __init__(self, plan: TaskPlan, task: TokenTask) -> None:
        super().__init__(plan, among_values=False)
        self._task, self._text = task, plan.text[0]
        self._indices = {tag: i for i, tag in enumerate(task.labels)}

    def names(self, label: str) -> bool:
        return label in self._indices

    def leaves_out(
        self, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]] = NO_LISTS
    ) -> bool:
        return self.column not in lists and self.is_missing(values[self.column])

    def of_row(
        self, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]] = NO_LISTS
    ) -> list[int]:
        items = lists.get(self.column)
        if items is None:
            label = canonical_label(values[self.column])
            if self._is_blank(label):
                raise self.blank(label)
            if label in HIDDEN and label not in self._indices:
                raise self.refused(label, "'labels' has to name it if it is a tag")
            items = tag_list(values[self.column], self.column)
        text, words = values[self._text], lists.get(self._text)
        of_text = [] if words is not None else word_places(text, self._task.words)
        if all(isinstance(item, dict) for item in items) and (items or words is None):
            return self._of_spans(items, text, None if words is not None else of_text)
        if words is None:
            words = [text[start:stop] for start, stop in of_text]
        return self._of_tags(items, words, text)

    def target(self, label: str) -> list[int]:
        tags = tag_list(label, self.column)
        return self._of_tags(tags, ["?"] * len(tags), "")

    def _of_tags(self, items: Sequence[Any], words: Sequence[str], text: str) -> list[int]:
        import numpy as np

        if len(items) != len(words):
            spaced = self._task.words != "spaces" and len(text.split()) == len(items)
            raise ValueError(
                f"'{self.column}' holds {len(items)} tags for {len(words)} words"
                + ' (words = "spaces" takes what spaces divide)' * spaced
            )
        tags = [self._index(item, i, words[i]) for i, item in enumerate(items)]
        if not self._task.marks_entities:
            return tags
        codes = codes_of(np.array(tags, dtype=np.int64), self._task.scheme)
        if not self._task.repair:
            self._check_sound(tags, codes, words)
        sound: list[int] = codes.tolist()
        return sound

    def _index(self, item: Any, i: int, word: str) -> int:
        if not isinstance(item, str):
            raise ValueError(f"'{self.column}' holds {item!r:.40}, which is no tag")
        tag = canonical_label(item)
        if tag not in self._indices:
            hint = nearest(tag, self._indices)
            raise ValueError(
                f"{self.column}: unknown tag {quoted(tag)} of word {i + 1} '{word:.40}'{hint}"
            )
        return self._indices[tag]

    def _check_sound(self, tags: Sequence[int], codes: Array, words: Sequence[str]) -> None:
        """Refuse tags that are not those of their entities, naming the first."""
        for i, sound in enumerate(tags_of(codes, self._task.scheme).tolist()):
            if sound != tags[i]:
                tag, wanted = self._task.labels[tags[i]], self._task.labels[sound]
                before = f" behind '{self._task.labels[tags[i - 1]]}'" if i else ""
                raise ValueError(
                    f"{self.column}: word {i + 1} '{words[i]:.40}' has tag '{tag}'{before}, where"
                    f" scheme '{self._task.scheme}' has '{wanted}' (repair = true would read that)"
                )

    def _of_spans(
        self, items: Sequence[Mapping[str, Any]], text: str, places: Sequence[Place] | None
    ) -> list[int]:
        if places is None:
            raise ValueError(f"'{self.column}' holds spans of a text, but '{self._text}' a list")
        if not self._task.marks_entities:
            raise ValueError(f"'{self.column}' holds spans, but scheme 'plain' has none")
        spans = [self._span(item) for item in items]
        try:
            return codes_of_spans(text, places, spans, self._task.types)
        except ValueError as error:
            raise ValueError(f"{self.column}: {error}") from None

    def _span(self, item: Mapping[str, Any]) -> Span:
        span = read_span(item, self.column)
        if span.type not in self._task.types:
            hint = nearest(span.type, self._task.types)
            raise ValueError(f"{self.column}: unknown label {quoted(span.type)} of a span{hint}")
        return span


def tag_list(text: str, column: str) -> list[Any]:
    """Return a text's tags, divided by spaces, or what a JSON list in it holds.

    Raises:
        ValueError: it begins as a JSON list, and is none.

    Example:
        >>> tag_list("O B-x", "tags"), tag_list('["O", "B-x"]', "tags")
        (['O', 'B-x'], ['O', 'B-x'])
    """
    if not text.lstrip().startswith("["):
        return text.split()
    try:
        items = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list):
        raise ValueError(f"'{column}' holds no JSON list")
    return items


def read_span(item: Mapping[str, Any], column: str) -> Span:
    """Return a span from what a file has of it.

    Raises:
        ValueError: it lacks a key, or has something else there.
    """
    try:
        start, stop = (int(str(item[key])) for key in ("start", "end"))
        return Span(start, stop, canonical_label(str(item["label"])))
    except (KeyError, TypeError, ValueError):
        shown = json.dumps(item, ensure_ascii=False)
        raise ValueError(
            f"'{column}' holds {shown:.60}, where a span has whole numbers 'start' and 'end', and"
            " a 'label'"
        ) from None


class TokenClassification(LabelledKind[TokenTask]):
    """A softmax over tags for each word.

    An example's loss is the mean over its words, so a step's is a mean over sentences, each of
    which counts alike, however long. A word that the model doesn't see, as it is cut off or the
    tokenizer makes nothing of it, is answered 'O', and has no part in the loss. What is kept of a
    row, and evaluated, are its entities (`accord.kinds._entities`), read from the likeliest tags as
    seqeval reads them; so predicted tags are always sound.
    """

    name = "token-classification"
    section = TokenConfig
    losses = ("cross_entropy",)
    poolings = ("first", "mean")
    predicts = ("entities", "tags")
    default_metric = "entity_f1"
    units = "words"
    takes_lists = True
    answer_is_text = True
    answer_is_list = True
    summary_head = "entities or tags"

    @property
    def task_type(self) -> type[TokenTask]:
        return TokenTask

    def resolve(self, name: str, plan: TaskPlan, training: TrainingLabels) -> TokenTask:
        """Take tags that aren't configured, and the scheme, from the training file; a type of
        entities has all tags of its scheme."""
        if plan.labels is None:
            training.require("labels")
        spans, names = (False, plan.labels) if plan.labels else _found(name, plan, training)
        scheme = plan.options.get("scheme") or ("bio" if spans else scheme_of(names))
        if scheme is None:
            raise ConfigError(
                f"tasks.{name}.scheme: tags like '{_odd(names)}' mark entities by no scheme that is"
                " known (bio, iobes); 'plain' evaluates each word by itself"
            )
        labels = _ordered(name, names, scheme, spans)
        metric = plan.metric or _METRICS[scheme != "plain"]
        if get_metric(metric).of != ("tags" if scheme == "plain" else "entities"):
            raise ConfigError(
                f"tasks.{name}.metric: scheme '{scheme}' is evaluated by"
                f" {', '.join(_metrics(scheme))}, got '{metric}'"
            )
        return self.task_type(
            **shared_fields(name, plan),
            loss=self.losses[0],
            metric=metric,
            labels=labels,
            label_smoothing=plan.label_smoothing,
            scheme=scheme,
            repair=plan.options.get("repair", False),
            words=plan.options.get("words", "marks"),
        )

    def found_in_data(self, plan: TaskPlan) -> list[str]:
        return ["labels"] if plan.labels is None else []

    def task_faults(self, task: TokenTask) -> Iterator[str]:
        if task.scheme not in get_args(Scheme) or task.words not in get_args(Words):
            yield f"scheme is {task.scheme!r}, words {task.words!r}"
        elif len(set(task.labels)) < max(2, len(task.labels)) or (
            task.marks_entities and task.labels != tags_of_types(task.types, task.scheme)
        ):
            yield f"labels are {list(task.labels)[:5]}"
        elif task.metric not in _metrics(task.scheme):
            yield f"metric is {task.metric!r} under scheme {task.scheme!r}"
        if task.head != "linear" or task.targets != "range" or task.positive is not None:
            yield f"head is {task.head!r}, targets {task.targets!r}, positive {task.positive!r}"

    def metrics_of(self, task: TokenTask) -> tuple[str, ...]:
        return _metrics(task.scheme)

    def word_places(self, options: Mapping[str, Any], text: str) -> list[Place]:
        return word_places(text, options.get("words", "marks"))

    def reading(self, task: TokenTask) -> dict[str, Any]:
        return {"words": task.words}

    def parser(self, plan: TaskPlan, task: TokenTask) -> TagParser:
        return TagParser(plan, task)

    def target_form(self, task: TokenTask) -> TargetForm:
        return TargetForm("<i4", ragged=True)

    def strata(self, targets: Array) -> None:
        return None

    def rows_of_classes(self, task: TokenTask, targets: Array) -> list[Array]:
        """Return the rows with a word of each tag; of tags of entities, with one of its type."""
        import numpy as np

        if not task.marks_entities:
            return [np.flatnonzero((targets == tag).any(1)) for tag in range(len(task.labels))]
        kinds = (targets + 1) // 2
        rows = [
            np.flatnonzero(((kinds == kind) & (targets >= 0)).any(1))
            for kind in range(len(task.types) + 1)
        ]
        each = len(LETTERS[task.scheme])
        return [rows[0], *(of_type for of_type in rows[1:] for _ in range(each))]

    def summary(self, task: TokenTask, targets: Array) -> Summary:
        """Count the entities of each type, or the words of each tag."""
        import numpy as np

        if task.marks_entities:
            begins = targets[(targets > 0) & (targets % 2 == 1)]
            counts = np.bincount((begins - 1) // 2, minlength=len(task.types))
            return {"labels": dict(zip(task.types, counts.tolist(), strict=True))}
        counts = np.bincount(targets[targets >= 0], minlength=len(task.labels))
        return {"labels": dict(zip(task.labels, counts.tolist(), strict=True))}

    def described(self, task: TokenTask, most: int) -> str:
        names, what = task.types if task.marks_entities else task.labels, "tags"
        if task.marks_entities:
            what = f"entities ({task.scheme})"
        more = f" and {len(names) - most} more" * (len(names) > most)
        return f"{what} {', '.join(names[:most])}{more}"

    def outputs(self, task: TokenTask) -> int:
        """Return a logit for each tag, of each word."""
        return len(task.labels)

    def targets(self, task: TokenTask, labels: Tensor) -> Tensor:
        """Return indices of tags, float32 [n, words], -1 behind a row's words."""
        import torch

        if not task.marks_entities:
            return labels.float()
        return torch.from_numpy(tags_of(labels.numpy(), task.scheme)).float()

    def arranged(self, task: TokenTask, logits: Tensor, units: Units | None) -> Tensor:
        assert units is not None  # of words
        words = super().arranged(task, logits, units)
        return words.where(~units.absent()[..., None], _unseen(task, words))

    def loss(self, task: TokenTask, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy over each row's words that the model sees, [n]."""
        return _mean_cross_entropy(task, logits, targets)

    def training_loss(self, task: TokenTask, logits: Tensor, targets: Tensor) -> Tensor:
        return _mean_cross_entropy(task, logits, targets, task.label_smoothing)

    def divergence(self, task: TokenTask, one: Tensor, other: Tensor) -> Tensor:
        """Return the mean over each row's words that the model sees, [n]."""
        from accord.model.losses import symmetric_kl

        seen = _seen(task, one) & _seen(task, other)
        words = (_finite(logits, seen).flatten(0, 1) for logits in (one, other))
        return _mean(symmetric_kl(*words).view(seen.shape), seen)

    def decode(self, task: TokenTask, logits: Tensor) -> Tensor:
        """Return codes of entities or indices of plain tags, float64 [n, words], -1 behind a row's
        words."""
        import torch

        behind = (logits == float("-inf")).all(2)
        tags = logits.argmax(2).masked_fill(behind, -1)
        if task.marks_entities:
            tags = torch.from_numpy(codes_of(tags.numpy(), task.scheme))
        return tags.double()

    def probabilities(self, task: TokenTask, logits: Tensor) -> Tensor:
        """Return each tag's probability of each word, float64 [n, words, labels]; 0 behind a row's
        words."""
        return logits.double().softmax(2).nan_to_num(0.0)

    def unseen(self, task: TokenTask) -> str:
        return task.labels[task.outside]

    def details(
        self, task: TokenTask, logits: Tensor, texts: Sequence[str | Sequence[str]] | None
    ) -> dict[str, list[Any]]:
        """Return each row's entities, where texts are known: `start` and `end` in characters of a
        text or in words of a list, `text`, `label` and `probability`, that of all of its tags."""
        import numpy as np

        if not task.marks_entities or texts is None:
            return {}
        codes = self.decode(task, logits).numpy().astype(np.int64)
        likeliest = self.probabilities(task, logits).amax(2).numpy()
        rows = zip(texts, codes, likeliest, strict=True)
        return {"entities": [_described(task, *row) for row in rows]}

    def by_class(self, task: TokenTask, labels: Array, predicted: Array) -> ByClass:
        """Return the figures of each type of entities, of which one of the same words is right if
        it is of the same type; or of each plain tag, over all words."""
        import numpy as np

        from accord.metrics.entity_f1 import entity_places

        predicted = predicted[:, : labels.shape[1]]
        if not task.marks_entities:
            words = labels >= 0
            return ByClass.of(task.labels, labels[words], predicted[words])
        predicted = np.where(labels < 0, 0, predicted)
        (wanted, wanted_last), (told, told_last) = map(entity_places, (labels, predicted))
        alike, none = wanted & told & (wanted_last == told_last), len(task.types)
        alone = told & ~alike  # where no entity is of the same words
        true = np.append((labels[wanted] - 1) // 2, np.full(alone.sum(), none))
        said = np.where(alike, (predicted - 1) // 2, none)[wanted]
        said = np.append(said, (predicted[alone] - 1) // 2)
        return ByClass.of(task.types, true, said, none="(no entity)")

    def probability_names(self, task: TokenTask) -> tuple[str, ...]:
        return ()

    def mean_logits(self, task: TokenTask, members: Sequence[Tensor]) -> Tensor:
        """Return the logits of the members' mean probabilities."""
        import torch

        if len(members) == 1:
            return members[0]
        mean = torch.stack([self.probabilities(task, member) for member in members]).mean(0)
        seen = torch.stack([_seen(task, member) for member in members]).any(0)
        return mean.clamp(min=_LEAST).log().float().where(seen[..., None], members[0])

    def answers(self, task: TokenTask, values: Array) -> list[list[str]]:
        """Return lists of tags."""
        import numpy as np

        codes = np.asarray(values).astype(np.int64)
        tags = tags_of(codes, task.scheme) if task.marks_entities else codes
        return [[task.labels[tag] for tag in row if tag >= 0] for row in tags.tolist()]

    def cell(self, task: TokenTask, answer: Sequence[str]) -> str:
        if any(" " in tag or tag.startswith("[") for tag in answer):
            return json.dumps(answer, ensure_ascii=False)
        return " ".join(answer)

    def read_answers(self, task: TokenTask, answers: Sequence[str]) -> Array:
        import numpy as np

        index = {tag: i for i, tag in enumerate(task.labels)}
        rows = [[index[tag] for tag in tag_list(answer, "prediction")] for answer in answers]
        tags = self.target_form(task).array(rows)
        codes = codes_of(tags, task.scheme) if task.marks_entities else tags
        return codes.astype(np.float64)

    def shown(self, task: TokenTask, value: Array) -> str:
        (tags,) = self.answers(task, value[None])
        return " ".join(tags)

    transformers_model = "BertForTokenClassification"
    transformers_pooling = "first"

    def transformers_fault(self, task: TokenTask) -> str:
        return ""

    def transformers_layer(self, task: TokenTask, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        return linear.weight.double(), linear.bias.double()

    def transformers_config(self, task: TokenTask) -> dict[str, Any]:
        return {
            "id2label": dict(enumerate(task.labels)),
            "label2id": {name: index for index, name in enumerate(task.labels)},
        }


def _described(
    task: TokenTask, text: str | Sequence[str], codes: Array, likeliest: Array
) -> list[dict[str, Any]]:
    """Return a row's entities as files of predictions have them."""
    whole = isinstance(text, str)
    places = word_places(text, task.words) if isinstance(text, str) else []
    entities = []
    for entity in entities_of(codes):
        words = slice(entity.start, entity.stop)
        start, stop = words.start, words.stop
        if whole:
            start, stop = places[start][0], places[stop - 1][1]
        named = text[start:stop]
        entities.append({
            "start": start, "end": stop, "text": named if whole else " ".join(named),
            "label": task.types[entity.type],
            "probability": round(float(likeliest[words].prod()), 6),
        })  # fmt: skip
    return entities


def _unseen(task: TokenTask, like: Tensor) -> Tensor:
    """Return the logits of a word that the model doesn't see, [labels]: surely 'O'."""
    logits = like.new_full((len(task.labels),), float("-inf"))
    logits[task.outside] = 0.0
    return logits


def _seen(task: TokenTask, logits: Tensor) -> Tensor:
    """Return which words have logits of the model's, bool [n, words]."""
    behind = (logits == float("-inf")).all(2)
    return ~(behind | (logits == _unseen(task, logits)).all(2))


def _finite(logits: Tensor, seen: Tensor) -> Tensor:
    return logits.where(seen[..., None], logits.new_zeros(()))


def _mean_cross_entropy(
    task: TokenTask, logits: Tensor, targets: Tensor, smoothing: float = 0.0
) -> Tensor:
    from accord.model.losses import cross_entropy

    seen = _seen(task, logits)
    tags = targets.clamp(min=0).flatten()
    losses = cross_entropy(_finite(logits, seen).flatten(0, 1), tags, smoothing)
    return _mean(losses.view(seen.shape), seen & (targets >= 0))


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of each row's values that count, [n]; 0 where none does."""
    sums = values.where(counted, values.new_zeros(())).sum(1)
    return sums / counted.sum(1).clamp(min=1)


@cache
def _metrics(scheme: Scheme) -> tuple[str, ...]:
    form = "tags" if scheme == "plain" else "entities"
    return tuple(name for name in KIND.metrics if get_metric(name).of == form)


def _found(name: str, plan: TaskPlan, training: TrainingLabels) -> tuple[bool, list[str]]:
    """Return whether the training file has spans, and the types or tags that it has."""
    tags, types = Counter[str](), Counter[str]()
    for cell in training.cells():
        try:
            items = tag_list(cell, plan.label) if isinstance(cell, str) else cell
        except ValueError:
            continue  # the row is faulted, with its line, when the file is read in full
        for item in items:
            if isinstance(item, dict):
                types[canonical_label(str(item.get("label", "")))] += 1
            elif isinstance(item, str):
                tags[canonical_label(item)] += 1
        if len(tags) + len(types) > MOST_LABELS:
            raise ConfigError(
                f"tasks.{name}.label: column '{plan.label}' of {training} holds more than"
                f" {MOST_LABELS} different tags; name them in tasks.{name}.labels if they are"
            )
    spans = len(types) > len(tags)
    if not types and not tags:
        raise ConfigError(f"tasks.{name}.label: column '{plan.label}' of {training} holds no tag")
    return spans, sort_labels(types if spans else tags)


def _ordered(name: str, names: Sequence[str], scheme: Scheme, spans: bool) -> tuple[str, ...]:
    """Return a scheme's tags of all types, or plain tags with 'O' first.

    Raises:
        ConfigError: there are no two of them.
    """
    if scheme == "plain":
        if spans:
            raise ConfigError(f"tasks.{name}.scheme: spans are entities; 'plain' has none")
        labels = tuple(sorted(names, key=lambda tag: tag != OUTSIDE))
        if len(labels) < 2:
            raise ConfigError(
                f"tasks.{name}.label: the one tag is '{labels[0]}'; it takes two or more"
            )
        return labels
    types = list(dict.fromkeys(names if spans else (type_of(tag, scheme) for tag in names)))
    known = [each for each in types if each is not None]
    if not known:
        raise ConfigError(
            f"tasks.{name}.labels: no tag of scheme '{scheme}' marks an entity: {', '.join(names)}"
        )
    return tags_of_types(known, scheme)


def _odd(names: Sequence[str]) -> str:
    """Return the first tag that begins as none of a scheme's."""
    known = {letter for letters in LETTERS.values() for letter in letters}
    return next(name for name in names if name != OUTSIDE and name[0] not in known)


KIND = TokenClassification()
