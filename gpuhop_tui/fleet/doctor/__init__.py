"""The doctor: checks everything between the laptop and a node's GPUs, one family a module."""
