"""``python -m easyremote.node``: a headless node, which runs cells and shipped functions too."""

from easyremote.cli.node import node

if __name__ == "__main__":
    node()
