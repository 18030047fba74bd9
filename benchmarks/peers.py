"""What a good user of other libraries would write: the peers of our training step.

All are transformers' BertModel (SDPA, in training mode, without the pooler, which no task uses)
with dropout and one linear layer per task; one padded batch per task, padded anew in every step
from the same examples that ours packs (for a GPU both lie ready in pinned memory, as a loader's
workers leave them); no clipping; torch.optim.AdamW.

transformers_step              the losses' sum, one backward pass
transformers_one_batch_step    the same from one padded batch of all tasks (CLS pooling)
transformers_pcgrad_step       PCGrad as its public wrappers do it, on vectors of all parameters
transformers_lean_pcgrad_step  PCGrad by somebody who looked for what can be left out of that
torchjd_step                   PCGrad by torchjd
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence

import numpy as np
import torch
import transformers
from harness import Side
from torch import Tensor, nn
from workload import CPU, LR, TINY, WEIGHT_DECAY, Batch, Workload, minilm_folder

from accord.encoders.packing import TokenSequence
from accord.model.losses import LOSSES


def bert(size: str) -> transformers.BertModel:
    """MiniLM with its weights; or bert-base or a tiny BERT with random ones."""
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if size == "minilm":
        return transformers.BertModel.from_pretrained(
            minilm_folder(), add_pooling_layer=False, attn_implementation="sdpa",
            dtype=torch.float32,
        )  # fmt: skip
    config = transformers.BertConfig(attn_implementation="sdpa", **(TINY if size == "tiny" else {}))
    return transformers.BertModel(config, add_pooling_layer=False)


def padded(sequences: Sequence[TokenSequence]) -> dict[str, Tensor]:
    """Pad sequences to their longest, as a collator does."""
    shape = len(sequences), max(len(sequence.input_ids) for sequence in sequences)
    ids, mask, types = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    for i, sequence in enumerate(sequences):
        count = len(sequence.input_ids)
        ids[i, :count] = sequence.input_ids
        mask[i, :count] = 1
        types[i, sequence.first : count] = 1
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


class Peer:
    """The encoder, one head per task, and the optimizer of both.

    Args:
        work: the super batches.
        encoder: trained in place.
        fused: use AdamW's fused kernel, instead of the one torch takes by itself.
        bfloat16: run the forward pass under autocast.
        device: where it runs.
    """

    def __init__(
        self,
        work: Workload,
        encoder: transformers.BertModel,
        *,
        fused: bool,
        bfloat16: bool,
        device: torch.device = CPU,
    ) -> None:
        self.tasks, self.encoder, self.device = work.tasks, encoder.train().to(device), device
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)
        width = encoder.config.hidden_size
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Dropout(task.dropout), nn.Linear(width, task.outputs))
            for task in work.tasks
        ).to(device)
        self.shared, self.own = list(encoder.parameters()), list(self.heads.parameters())
        self.optimizer = torch.optim.AdamW(
            [*self.shared, *self.own], lr=LR, weight_decay=WEIGHT_DECAY, fused=fused or None
        )
        self._pinned: dict[int, tuple[list[TokenSequence], dict[str, Tensor]]] = {}

    def inputs(self, sequences: list[TokenSequence]) -> dict[str, Tensor]:
        """Padded sequences on the device."""
        if self.device.type != "cuda":
            arrays = padded(sequences)
        else:
            if id(sequences) not in self._pinned:  # and held, so that no other has its number
                made = {name: array.pin_memory() for name, array in padded(sequences).items()}
                self._pinned[id(sequences)] = sequences, made
            arrays = self._pinned[id(sequences)][1]
        return {name: array.to(self.device, non_blocking=True) for name, array in arrays.items()}

    def vectors(self, batch: Batch, task: int) -> Tensor:
        """Pad a task's examples, encode them, and pool each to a vector [n, H]."""
        inputs = self.inputs(batch.sequences[task])
        with self.autocast:
            hidden = self.encoder(**inputs).last_hidden_state
        if self.tasks[task].pooling == "cls":
            return hidden[:, 0]
        mask = inputs["attention_mask"][..., None]
        return (hidden * mask).sum(1) / mask.sum(1)

    def loss(self, batch: Batch, task: int, vectors: Tensor) -> Tensor:
        """A task's mean loss from its vectors."""
        with self.autocast:
            logits = self.heads[task](vectors)
        wanted = batch.targets[task].to(self.device, non_blocking=True)
        return LOSSES[self.tasks[task].loss](logits.float(), wanted).mean()

    def losses(self, batch: Batch) -> list[Tensor]:
        """Every task's mean loss, a forward pass each."""
        return [self.loss(batch, i, self.vectors(batch, i)) for i in range(len(self.tasks))]


def transformers_step(
    work: Workload,
    encoder: transformers.BertModel,
    *,
    fused: bool,
    bfloat16: bool = False,
    device: torch.device = CPU,
) -> Side:
    """Multitask training: one forward pass per task, one backward pass through all losses."""
    peer = Peer(work, encoder, fused=fused, bfloat16=bfloat16, device=device)

    def step(i: int) -> None:
        peer.optimizer.zero_grad()
        torch.stack(peer.losses(work.batch(i))).sum().backward()
        peer.optimizer.step()

    return step


def transformers_one_batch_step(
    work: Workload,
    encoder: transformers.BertModel,
    *,
    fused: bool,
    bfloat16: bool = False,
    device: torch.device = CPU,
    compiled: bool = False,
) -> Side:
    """Multitask training: all tasks' examples in ONE padded batch, one forward and backward pass.

    Args:
        work: the super batches.
        encoder: trained in place.
        fused: use AdamW's fused kernel.
        bfloat16: run the forward pass under autocast.
        device: where it runs.
        compiled: by torch.compile, whatever the shapes.
    """
    peer = Peer(work, encoder, fused=fused, bfloat16=bfloat16, device=device)
    forward = torch.compile(peer.encoder, dynamic=True) if compiled else peer.encoder
    together = [[each for task in batch.sequences for each in task] for batch in work.batches]

    def step(i: int) -> None:
        batch, inputs = work.batch(i), peer.inputs(together[i % len(together)])
        peer.optimizer.zero_grad()
        with peer.autocast:
            hidden = forward(**inputs).last_hidden_state
        parts = hidden[:, 0].split([len(task) for task in batch.sequences])
        torch.stack([peer.loss(batch, t, part) for t, part in enumerate(parts)]).sum().backward()
        peer.optimizer.step()

    return step


def transformers_pcgrad_step(
    work: Workload, encoder: transformers.BertModel, *, fused: bool, bfloat16: bool = False
) -> Side:
    """PCGrad as the public wrappers around an optimizer do it.

    They know losses and an optimizer, not which parameters are shared: every task's gradient is
    a vector of all parameters, beside one that tells where there was a gradient at all.
    """
    peer = Peer(work, encoder, fused=fused, bfloat16=bfloat16)
    parameters = [*peer.shared, *peer.own]

    def step(i: int) -> None:
        losses = peer.losses(work.batch(i))
        gradients, present = [], []
        for loss in losses:
            peer.optimizer.zero_grad()
            loss.backward(retain_graph=True)
            gradient, mask = _flat_gradient(parameters)
            gradients.append(gradient)
            present.append(mask)
        merged = _merged(_each_projected(gradients), present)
        sizes = [p.numel() for p in parameters]
        for p, part in zip(parameters, merged.split(sizes), strict=True):
            p.grad = part.view_as(p).clone()
        peer.optimizer.step()

    return step


def _flat_gradient(parameters: Sequence[nn.Parameter]) -> tuple[Tensor, Tensor]:
    """Copy all gradients into one vector, zeros for none; and 1 where there was one, else 0."""
    gradients, present = [], []
    for p in parameters:
        missing = p.grad is None
        gradients.append(torch.zeros_like(p) if missing else p.grad.clone())
        present.append(torch.zeros_like(p) if missing else torch.ones_like(p))
    return _flat(gradients), _flat(present)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _each_projected(gradients: list[Tensor]) -> list[Tensor]:
    """Project each gradient off those that it conflicts with, visited in random order."""
    projected = copy.deepcopy(gradients)
    for each in projected:
        random.shuffle(gradients)
        for other in gradients:
            product = torch.dot(each, other)
            if product < 0:
                each.sub_(product * other / other.norm() ** 2)
    return projected


def _merged(projected: list[Tensor], present: list[Tensor]) -> Tensor:
    """Average what all tasks have a gradient of; add up the rest."""
    shared = torch.stack(present).prod(0).bool()
    merged = torch.zeros_like(projected[0])
    merged[shared] = torch.stack([each[shared] for each in projected]).mean(0)
    merged[~shared] = torch.stack([each[~shared] for each in projected]).sum(0)
    return merged


def transformers_lean_pcgrad_step(
    work: Workload,
    encoder: transformers.BertModel,
    *,
    fused: bool,
    bfloat16: bool = False,
    device: torch.device = CPU,
) -> Side:
    """PCGrad with little to spare: no graph is retained, vectors hold shared parameters alone."""
    peer = Peer(work, encoder, fused=fused, bfloat16=bfloat16, device=device)
    sizes = [p.numel() for p in peer.shared]

    def step(i: int) -> None:
        batch, gradients = work.batch(i), []
        peer.optimizer.zero_grad()
        for task in range(len(work.tasks)):
            peer.loss(batch, task, peer.vectors(batch, task)).backward()
            gradients.append(_flat([p.grad for p in peer.shared]))
            for p in peer.shared:
                p.grad = None
        combined = _sum_projected(gradients)
        for p, part in zip(peer.shared, combined.split(sizes), strict=True):
            p.grad = part.view_as(p)
        peer.optimizer.step()

    return step


def _sum_projected(gradients: list[Tensor]) -> Tensor:
    """Add up the projected gradients; each norm is taken once, no gradient meets itself."""
    squares, total = (
        [gradient.dot(gradient) for gradient in gradients],
        torch.zeros_like(gradients[0]),
    )
    for i, gradient in enumerate(gradients):
        projected, others = gradient.clone(), [j for j in range(len(gradients)) if j != i]
        random.shuffle(others)
        for j in others:
            product = float(projected.dot(gradients[j]))
            if product < 0:
                projected.add_(gradients[j], alpha=-product / float(squares[j]))
        total += projected
    return total


def torchjd_step(
    work: Workload, encoder: transformers.BertModel, *, fused: bool, bfloat16: bool = False
) -> Side:
    """PCGrad by torchjd's way for several tasks, from the pooled vectors down.

    One row of the Jacobian at a time: SDPA with dropout doesn't run under vmap.
    """
    from torchjd.aggregation import PCGrad
    from torchjd.autojac import jac_to_grad, mtl_backward

    peer, aggregator = Peer(work, encoder, fused=fused, bfloat16=bfloat16), PCGrad()
    heads = [list(head.parameters()) for head in peer.heads]

    def step(i: int) -> None:
        batch = work.batch(i)
        vectors = [peer.vectors(batch, task) for task in range(len(work.tasks))]
        losses = [peer.loss(batch, task, vector) for task, vector in enumerate(vectors)]
        peer.optimizer.zero_grad()
        mtl_backward(
            losses, features=vectors, tasks_params=heads, shared_params=peer.shared,
            parallel_chunk_size=1,
        )  # fmt: skip
        jac_to_grad(peer.shared, aggregator)
        peer.optimizer.step()

    return step
