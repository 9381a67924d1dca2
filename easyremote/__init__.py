"""EasyRemote: remote compute that feels local."""

__version__ = "3.0.0.dev0"
