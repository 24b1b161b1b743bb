"""Factors of a real model tuned so that its answers come near those of its dense weights."""

from cimsolve.study.finetune.question import FinetuneFound, FinetuneQuestion, Kind
from cimsolve.study.finetune.run import finetune, finetune_factors

__all__ = ["FinetuneFound", "FinetuneQuestion", "Kind", "finetune", "finetune_factors"]
