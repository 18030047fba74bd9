"""Heads of tasks without labels: a masked language model's, and SimCSE's."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from accord.encoders.blocks import ACTIVATIONS
from accord.encoders.encoder import EncoderConfig
from accord.encoders.packing import PackedWords
from accord.kinds.simcse import SimCSETask
from accord.model.heads import TaskHead
from accord.pertask.operations import linear


class MaskedLMHead(TaskHead):
    """Tells words from the encoder's vectors at their places.

    y = LN(act(W x + b)); logits = E y + c, with E the encoder's word embeddings.

    *Source:* Devlin et al. 2019, BERT, section 3.1; the layers are those of its published code.

    Args:
        config: the encoder's sizes.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.dense = nn.Linear(hidden, hidden)
        nn.init.normal_(self.dense.weight, std=config.initializer_range)
        nn.init.zeros_(self.dense.bias)
        self.norm = nn.LayerNorm(hidden, config.layer_norm_eps)
        self.bias = Parameter(torch.zeros(config.vocab_size))
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, vectors: Tensor, table: Parameter) -> Tensor:
        """Return logits float32 [m, V].

        Args:
            vectors: of the masked words, [m, H].
            table: the word embeddings, [V, H].
        """
        with torch.autocast(vectors.device.type, enabled=False):
            y = self.norm(self.activation(self.dense(vectors.float())))
            return linear(y, table, self.bias)

    def losses(
        self,
        vectors: Tensor,
        words: PackedWords | None,
        texts: int,
        table: Parameter,
    ) -> Tensor:
        """Return each text's loss, [texts]: -log p summed over its masked words by their weights.

        Args:
            vectors: of the masked words, [m, H].
            words: what stood there; None where there is no text.
            texts: how many there are.
            table: the word embeddings, [V, H].
        """
        if words is None:
            return vectors.new_zeros(texts, dtype=torch.float32)
        with words.bounds.applied():
            logits = self(vectors, table)
        losses = words.weights * F.cross_entropy(logits, words.ids, reduction="none")
        return losses.new_zeros(texts).index_add(0, words.sequences, losses)

    def named_views(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each of Hugging Face's names below `cls.predictions` with the tensor that it is."""
        yield "transform.dense.weight", self.dense.weight
        yield "transform.dense.bias", self.dense.bias
        yield "transform.LayerNorm.weight", self.norm.weight
        yield "transform.LayerNorm.bias", self.norm.bias
        yield "bias", self.bias


class ContrastiveHead(TaskHead):
    """Compares texts with themselves under another dropout mask, and with each other.

    l_i = -log(exp(cos(h_i, h'_i)/τ) / Σ_j exp(cos(h_i, h'_j)/τ)) over the n texts of a step.

    *Source:* Gao et al. 2021, SimCSE: Simple Contrastive Learning of Sentence Embeddings, equation
    4; section 6.3: a dense layer with tanh over [CLS], in training alone.

    Args:
        task: how it pools, and its temperature τ.
        config: the encoder's sizes.
    """

    def __init__(self, task: SimCSETask, config: EncoderConfig) -> None:
        super().__init__()
        self.temperature = task.temperature
        self.dense: nn.Linear | None = None
        if task.pooling == "cls":
            self.dense = nn.Linear(config.hidden_size, config.hidden_size)
            nn.init.normal_(self.dense.weight, std=config.initializer_range)
            nn.init.zeros_(self.dense.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return each text's loss, float32 [n].

        Args:
            pooled: a text's two vectors next to each other, [2 n, H].
        """
        x = pooled.float()
        with torch.autocast(x.device.type, enabled=False):
            if self.dense is not None:
                x = self.dense(x).tanh()
            one, other = F.normalize(x, dim=1).view(-1, 2, x.shape[1]).unbind(1)
            cosines = one @ other.t()
        wanted = torch.arange(len(one), device=x.device)
        return F.cross_entropy(cosines / self.temperature, wanted, reduction="none")
