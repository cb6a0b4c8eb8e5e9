"""The command line: a thin skin over the library. No numerics, and torch only inside commands."""
