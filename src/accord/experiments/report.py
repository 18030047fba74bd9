"""The paper's tables and figure from a folder of runs."""

from __future__ import annotations
