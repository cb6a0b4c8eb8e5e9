"""The commands, one file a group; each function is one command and reads top to bottom."""
