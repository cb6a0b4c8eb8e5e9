"""The problem as data: model, loading, library, compiled form and checks."""
