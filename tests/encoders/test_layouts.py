"""Packed batches of lists and padded tensors."""

import pytest
import torch
from transformers import BertModel

from accord.encoders import pack_lists, pack_padded, unpack
from accord.encoders.pretrained import load_encoder, save_encoder


@pytest.fixture
def encoder(tiny_encoder):
    return tiny_encoder().eval()


def padded(rows, types=None):
    """Rows of ids as a tokenizer pads them, with their mask and types."""
    most = max(map(len, rows))
    ids = torch.tensor([row + [0] * (most - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (most - len(row)) for row in rows])
    types = [[0] * len(row) for row in rows] if types is None else types
    return ids, mask, torch.tensor([row + [0] * (most - len(row)) for row in types])


def test_a_padded_batch_is_encoded_as_transformers_does(encoder, tmp_path):
    rows, types = [[5, 6, 7, 8], [9, 4], [3, 2, 1]], [[0, 0, 1, 1], [0, 0], [0, 1, 1]]
    ids, mask, kinds = padded(rows, types)
    save_encoder(encoder, tmp_path / "encoder")
    theirs = BertModel.from_pretrained(tmp_path / "encoder").eval()
    batch = pack_padded(ids, mask, kinds)
    with torch.no_grad():
        wanted = theirs(ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state
        hidden = unpack(load_encoder(tmp_path / "encoder").eval()(batch), batch)
    assert hidden.shape == wanted.shape
    torch.testing.assert_close(hidden, wanted * mask[:, :, None], rtol=0, atol=1e-5)


def test_lists_are_the_same_batch_as_padded_tensors(encoder):
    rows, types = [[5, 6, 7, 8], [9, 4]], [[0, 0, 1, 1], [0, 0]]
    of_lists, of_tensors = pack_lists(rows, [2, 2]), pack_padded(*padded(rows, types))
    assert of_lists.lengths == of_tensors.lengths == (4, 2)
    assert all(map(torch.equal, of_lists.ids, of_tensors.ids))
    assert pack_lists(rows).token_type_ids.tolist() == [0] * 6


@pytest.mark.parametrize(
    ("ids", "mask", "types", "said"),
    [
        ([[1, 2]], [[0, 1]], None, "padding should be at the end"),
        ([[1, 2]], [[0, 0]], None, "none that is empty"),
        ([[1, 2, 3]], [[1, 1, 1]], [[0, 1, 0]], "0s and then 1s"),
        ([[1, 2, 3]], [[1, 1, 1]], [[0, 2, 2]], "0s and then 1s"),
        ([[1, 2, 3]], [[1, 1]], None, r"\[B, L\] each, got \(1, 3\), \(1, 2\)"),
        ([1, 2, 3], [1, 1, 1], None, r"\[B, L\] each"),
    ],
)
def test_what_is_no_padded_batch_is_refused(ids, mask, types, said):
    with pytest.raises(ValueError, match=said):
        pack_padded(
            torch.tensor(ids), torch.tensor(mask), None if types is None else torch.tensor(types)
        )
    with pytest.raises(ValueError, match=r"shorter|longer"):
        pack_lists([[1], [2]], [1])


def test_padding_of_types_does_not_count():
    batch = pack_padded(
        torch.tensor([[1, 2, 0]]), torch.tensor([[1, 1, 0]]), torch.tensor([[0, 1, 0]])
    )
    assert batch.token_type_ids.tolist() == [0, 1]
