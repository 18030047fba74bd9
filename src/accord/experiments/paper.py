"""What the paper printed, to stand beside what a rerun gives.

*Source:* Fuhu Xiao and Chu Lin, "BERT Mastery: Explore Multitask Learning", Stanford CS 224N
default project; its tables 1 to 5 and section 3.4.
"""

from __future__ import annotations

TASKS = ("sst", "quora", "sts")
TITLES = {
    "sst": "SST Acc.",
    "quora": "Quora Acc.",
    "sts": "STS Corr.",
    "cfimdb": "CFIMDB Acc.",
}
NAMES = {"sst": "SST", "quora": "Quora", "sts": "STS", "cfimdb": "CFIMDB"}

Row = dict[str, float]
Subset = tuple[str, ...]

# Dev figures but for table 5, which is of the course's test leaderboard.
TABLE_1: dict[str, Row] = {
    "frozen": {"sst": 0.396, "quora": 0.561, "sts": 0.271},
    "finetune": {"sst": 0.520, "quora": 0.793, "sts": 0.396},
}
TABLE_2: dict[str, Row] = {
    "finish-largest": {"sst": 0.504, "quora": 0.778, "sts": 0.366},
    "finish-smallest": {"sst": 0.510, "quora": 0.662, "sts": 0.379},
}
TABLE_3: dict[Subset, Row] = {
    ("sst",): {"sst": 0.520},
    ("quora",): {"quora": 0.749},
    ("sts",): {"sts": 0.364},
    ("sst", "sts"): {"sst": 0.489, "sts": 0.379},
    ("sst", "quora"): {"sst": 0.501, "quora": 0.714},
    ("quora", "sts"): {"quora": 0.688, "sts": 0.364},
    ("sst", "quora", "sts"): {"sst": 0.510, "quora": 0.662, "sts": 0.379},
}
TABLE_4: dict[tuple[Subset, str], Row] = {
    (("sst", "sts"), "sum"): {"sst": 0.512, "sts": 0.379},
    (("sst", "sts"), "pcgrad"): {"sst": 0.510, "sts": 0.374},
    (("sst", "quora"), "sum"): {"sst": 0.520, "quora": 0.714},
    (("sst", "quora"), "pcgrad"): {"sst": 0.519, "quora": 0.728},
    (("quora", "sts"), "sum"): {"quora": 0.688, "sts": 0.364},
    (("quora", "sts"), "pcgrad"): {"quora": 0.707, "sts": 0.362},
}
"""Of the same runs as table 3, as the paper has it, where `sum`; yet SST differs for SST + STS
(.489 and .512) and SST + Quora (.501 and .520): both are shown."""

TABLE_5: Row = {"sst": 0.513, "quora": 0.797, "sts": 0.332, "overall": 0.659}

BATCH_SIZE = 32
EPOCHS = 10
LR = 1e-5
FROZEN_LR = 1e-3
"""Section 3.4: one constant rate a mode, for encoder and heads."""
