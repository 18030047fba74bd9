"""A tag for each word: entities of several words by a scheme, or any tags, such as parts of
speech."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field

from accord.config.tasks import LabelSmoothingKey, LossKey, MetricKey, TaskConfig
from accord.errors import ConfigError
from accord.kinds._class_names import numbered, some_of
from accord.kinds._context import TrainingLabels
from accord.kinds._entities import LETTERS, OUTSIDE, Scheme, codes_of, tags_of, tags_of_types
from accord.kinds._labelled import LabelledKind, Summary, shared_fields
from accord.kinds._section_faults import (
    class_faults,
    foreign_faults,
    metric_faults,
    only_faults,
    shape_faults,
)
from accord.kinds._shares import mean_log
from accord.kinds._spans import Place, Words, entity_records, word_places
from accord.kinds._targets import TargetForm
from accord.kinds._word_labels import TagParser, scheme_and_labels, tag_list
from accord.metrics import ByClass, get_metric
from accord.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accord.data.plan import TaskPlan
    from accord.encoders.units import Units
    from accord.kinds._targets import Array

_METRICS = {True: "entity_f1", False: "word_accuracy"}


class TokenConfig(TaskConfig):
    """`[tasks.NAME]` with `kind = "token-classification"`."""

    kind: Literal["token-classification"]
    pooling: Literal["first", "mean"] = Field(  # type: ignore[assignment]
        "first", description="What the head sees of a word: its first token, or the mean of all."
    )
    scheme: Scheme | None = Field(
        None,
        description="How tags mark entities: 'bio' (B-x begins one, I-x goes on), 'iobes' (E-x"
        " ends one, S-x is a word alone), or 'plain', any tags; default: the scheme that most"
        " tags follow.",
    )
    repair: bool = Field(
        default=False,
        description="Whether tags that break the scheme are read as the entities that they most"
        " likely mean (an I-x after O begins one); otherwise such a row can't be used.",
    )
    words: Words = Field(
        "marks",
        description="How a text that is not a list is split into words: 'marks': runs of letters"
        " and digits, and each other character; 'spaces': at spaces.",
    )
    loss: LossKey = None
    metric: MetricKey = None
    label_smoothing: LabelSmoothingKey = 0.0

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the shape, the metric and the tags."""
        yield from shape_faults(self)
        yield from metric_faults(self, KIND.metrics)
        yield from class_faults(self, least=2)
        yield from only_faults(self, loss=KIND.losses[0])
        yield from foreign_faults(self, "positive")
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


class TokenClassification(LabelledKind[TokenTask]):
    """A softmax over tags for each word.

    An example's loss is the mean over its words, so a step's is a mean over sentences, each of
    which counts alike, however long. A word that the model doesn't see, as it is cut off or the
    tokenizer makes nothing of it, is answered 'O', and has no part in the loss. What is kept of a
    row, and evaluated, are its entities (`accord.kinds._entities`), read from the likeliest tags as
    seqeval reads them; so predicted tags are always sound.
    """

    name = "token-classification"
    hub_task = "token-classification"
    section = TokenConfig
    losses = ("cross_entropy",)
    poolings = ("first", "mean")
    predicts = ("entities", "tags")
    default_metric = "entity_f1"
    units = "words"
    quotes_texts = True
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
        scheme, labels = scheme_and_labels(name, plan, training)
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

    def inferred_keys(self, plan: TaskPlan) -> list[str]:
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
        if task.marks_entities:
            return f"entities ({task.scheme}) {some_of(task.types, most)}"
        return f"tags {some_of(task.labels, most)}"

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
        from accord.model.words import unseen_word

        assert units is not None  # of words
        words = super().arranged(task, logits, units)
        return words.where(~units.absent()[..., None], unseen_word(words, task.outside))

    def loss(self, task: TokenTask, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy over each row's words that the model sees, [n]."""
        from accord.model import words

        return words.cross_entropy(logits, targets, task.outside)

    def training_loss(self, task: TokenTask, logits: Tensor, targets: Tensor) -> Tensor:
        from accord.model import words

        return words.cross_entropy(logits, targets, task.outside, task.label_smoothing)

    def divergence(self, task: TokenTask, one: Tensor, other: Tensor) -> Tensor:
        """Return the mean over each row's words that the model sees, [n]."""
        from accord.model import words

        return words.divergence(one, other, task.outside)

    def decode(self, task: TokenTask, logits: Tensor) -> Tensor:
        """Return codes of entities or indices of plain tags, float64 [n, words], -1 after a row's
        words."""
        import torch

        from accord.model.words import behind

        tags = logits.argmax(2).masked_fill(behind(logits), -1)
        if task.marks_entities:
            tags = torch.from_numpy(codes_of(tags.numpy(), task.scheme))
        return tags.double()

    def probabilities(self, task: TokenTask, logits: Tensor) -> Tensor:
        """Return each tag's probability of each word, float64 [n, words, labels]; 0 after a row's
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
        return {"entities": [entity_records(*row, task.types, task.words) for row in rows]}

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
        (wanted, wanted_last), (predicted_places, predicted_last) = map(
            entity_places, (labels, predicted)
        )
        same_words, none = (
            wanted & predicted_places & (wanted_last == predicted_last),
            len(task.types),
        )
        unmatched = predicted_places & ~same_words  # where no entity is of the same words
        true = np.append((labels[wanted] - 1) // 2, np.full(unmatched.sum(), none))
        predicted_types = np.where(same_words, (predicted - 1) // 2, none)[wanted]
        predicted_types = np.append(predicted_types, (predicted[unmatched] - 1) // 2)
        return ByClass.of(task.types, true, predicted_types, none="(no entity)")

    def probability_names(self, task: TokenTask) -> tuple[str, ...]:
        return ()

    def logits_of_mean(self, task: TokenTask, members: Sequence[Tensor]) -> Tensor:
        """Return the logits of the members' mean probabilities."""
        import torch

        from accord.model.words import seen

        mean = mean_log([self.probabilities(task, member) for member in members])
        by_any = torch.stack([seen(member, task.outside) for member in members]).any(0)
        return mean.where(by_any[..., None], members[0])

    def answers(self, task: TokenTask, values: Array) -> list[list[str]]:
        """Return lists of tags."""
        import numpy as np

        codes = np.asarray(values).astype(np.int64)
        tags = tags_of(codes, task.scheme) if task.marks_entities else codes
        return [[task.labels[tag] for tag in row if tag >= 0] for row in tags.tolist()]

    def cell(self, task: TokenTask, answer: Sequence[str]) -> str:
        if any(tag.split() != [tag] or tag.startswith("[") for tag in answer):
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
        return numbered(task.labels)

    def transformers_note(self, task: TokenTask) -> str:
        if task.scheme != "iobes":
            return ""
        return ', whose pipeline gives tags word by word: it joins entities of scheme = "bio" alone'


@cache
def _metrics(scheme: Scheme) -> tuple[str, ...]:
    form = "tags" if scheme == "plain" else "entities"
    return tuple(name for name in KIND.metrics if get_metric(name).of == form)


KIND = TokenClassification()
