"""pinncli: a command-line solver for partial differential equations on PyTorch."""

__version__ = "0.1.0"
