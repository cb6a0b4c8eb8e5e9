"""Weights that follow the training: between conditions, over points, along time."""

from pinncli.adaptation.attention import Attention
from pinncli.adaptation.balance import Balance
from pinncli.adaptation.causal import Causal
from pinncli.adaptation.weights import Adaptation, Gate, Weights

__all__ = ["Adaptation", "Attention", "Balance", "Causal", "Gate", "Weights"]
