"""What a metric declares: one figure of predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal

from accord.errors import AccordError, UsageError
from accord.metrics._constant import Constant, usual_constant

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats

Form = Literal[
    "classes", "ranks", "label_sets", "tags", "entities", "scores", "probabilities", "values",
    "losses",
]  # fmt: skip
"""What is compared with targets: class indices [n], those of classes in order, 0 or 1 for each
label [n, labels], indices of words' tags or codes of their entities [n, words], scores of
candidates that have grades [n, most], every class's probability [n, classes], or numbers [n]; or
losses [n], where there are no targets."""

_BY_WORD = ("tags", "entities")

Value = Callable[..., float]
"""(predictions, targets) -> the metric; after them comes the class that is meant, where one is."""

Influence = Callable[..., "tuple[Floats, Floats]"]
"""(predictions [..., n], targets likewise) -> the metric [...] and rows' influence [..., n]."""


@dataclass(frozen=True)
class Metric:
    """How good predictions are: one figure, the higher the better.

    An error counts negatively, as scikit-learn's scorers have it: what is chosen, and called
    better, is always the largest.

    Attributes:
        function: the metric.
        of: the form of predictions that it takes.
        meaning: what it is, in a few words.
        title: what tables call it; default: its name.
        lowest, best: of its range; `best` is that of perfect predictions.
        one_class: whether it is of one class, which the config names.
        scale_free: whether predictions on another scale are as good. It is taken within each half
            of cross-fitted rows then, as two epochs' scales may differ, and every constant
            prediction is as bad.
        influence: a closed form of rows' influence; None: every row is left out once.
        set_influence: where it takes label sets too, a closed form of their rows' influence.
        constant: targets, and the class, to the best constant prediction; None: the most frequent
            class or set, the classes' shares, or the mean.
    """

    function: Value
    _: KW_ONLY
    of: Form
    meaning: str
    title: str = ""
    lowest: float = 0.0
    best: float = 1.0
    one_class: bool = False
    scale_free: bool = False
    influence: Influence | None = None
    set_influence: Influence | None = None
    constant: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """As its file and the config spell it: the function's."""
        return self.function.__name__

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms of predictions that it takes."""
        return (self.of, "label_sets") if self.set_influence else (self.of,)

    def form_of(self, targets: Array) -> Form:
        """Return the form of predictions that are compared with targets of such a shape.

        Raises:
            UsageError: the metric takes none of that shape.
        """
        for form in self.forms:
            if targets.ndim == (2 if form in ("label_sets", "scores", *_BY_WORD) else 1):
                return form
        raise UsageError(
            f"{self.name}: targets should be {' or '.join(self.forms)}, got shape {targets.shape}"
        )

    def __call__(self, predictions: Array, targets: Array, positive: int | None = None) -> float:
        """Return the metric.

        Args:
            predictions: [n], [n, classes] of probabilities, [n, labels], [n, words], or [n, most]
                of scores.
            targets: class indices or values, [n]; label sets, [n, labels]; tags or entities, [n,
                words], with -1 behind a row's words; or grades, [n, most], NaN after a row's.
            positive: the class that is meant; default 1.

        Raises:
            UsageError: no examples, or arrays that do not fit.
            AccordError: a value, score or probability that isn't finite.

        Example:
            >>> import numpy as np
            >>> from accord.metrics import get_metric
            >>> get_metric("accuracy")(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0]))
            0.75
        """
        import numpy as np

        rows = predictions.shape[:1] if self.of == "probabilities" else predictions.shape
        if rows != targets.shape:
            raise UsageError(
                f"{self.name}: predictions and targets should be two arrays of the same length, "
                f"got shapes {predictions.shape} and {targets.shape}"
            )
        self.form_of(targets)
        if not targets.size:
            raise UsageError(f"{self.name}: there are no examples to evaluate by")
        valid = ~np.isnan(targets) if self.of == "scores" else slice(None)
        if self.of in ("values", "probabilities", "scores") and not (
            np.isfinite(predictions[valid]).all() and np.isfinite(targets[valid]).all()
        ):
            raise AccordError(f"{self.name}: a prediction or target is not a finite number")
        return float(self.function(predictions, targets, *self._class(positive)))

    def influences(self, predictions: Array, targets: Array, positive: int | None = None) -> Floats:
        """Return each row's influence on the metric, [n], whose mean is 0; arguments as its own.

        ψ_i = (n − 1)(θ − θ₋ᵢ), centred, with θ₋ᵢ the metric without row i: the jackknife's
        pseudo-values. The metric behaves like θ + mean(ψ), and var(ψ) / n is its variance over
        rows, which is not too small at a few dozen rows, where that of the influence function
        itself is (docs/statistics.md has both).

        *Source:* Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 11.
        """
        import numpy as np

        n = len(targets)
        closed = (self.set_influence if targets.ndim > 1 else None) or self.influence
        if closed is not None:
            return closed(predictions, targets, *self._class(positive))[1]
        if n == 1:
            return np.zeros(1)
        without = np.array([
            self(np.delete(predictions, i, 0), np.delete(targets, i, 0), positive)
            for i in range(n)
        ])  # fmt: skip
        return np.asarray((n - 1) * (without.mean() - without))

    def best_constant(self, targets: Array, positive: int | None = None) -> Constant:
        """Return the best prediction that never looks at the text.

        Args:
            targets: as the metric takes them.
            positive: the class that is meant; default 1.

        Raises:
            UsageError: no targets.

        Example:
            >>> import numpy as np
            >>> from accord.metrics import get_metric
            >>> get_metric("accuracy").best_constant(np.array([0, 1, 1, 1]))
            Constant(value=0.75, label=1)
        """
        import numpy as np

        if not targets.size:
            raise UsageError("there are no labels to take a constant prediction from")
        form = self.form_of(targets)
        if self.constant is None:
            answer = usual_constant(form, targets)
        else:
            answer = np.asarray(self.constant(targets, *self._class(positive)))
        shape = (len(targets), *answer.shape)
        if form in ("scores", *_BY_WORD):
            shape = targets.shape
        predictions = np.broadcast_to(answer, shape)
        label = int(answer) if form in ("classes", "ranks", *_BY_WORD) else None
        value = self(predictions, targets, positive)
        return Constant(value, label, predictions, every=self.scale_free)

    def called(self, positive: str | None = None) -> str:
        """Return its name in results and tables, with the class where it is of one.

        Example:
            >>> from accord.metrics import get_metric
            >>> get_metric("f1").called("fraud"), get_metric("accuracy").called("fraud")
            ("F1 of 'fraud'", 'accuracy')
        """
        title = self.title or self.name
        return f"{title} of '{positive}'" if self.one_class else title

    def _class(self, positive: int | None) -> tuple[int, ...]:
        return ((1 if positive is None else positive),) if self.one_class else ()
