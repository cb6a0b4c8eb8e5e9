"""Run directories: the only writer of files."""
