"""The problem language: text to nodes, nodes to programs, by grammar and symbolic calculus."""
