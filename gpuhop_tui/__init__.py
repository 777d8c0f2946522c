"""A terminal dashboard for GPU servers that stand behind SSH bastions."""

__version__ = "0.1.0"
