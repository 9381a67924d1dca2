"""A plain script that offers one function: ``python digits_node.py``."""

from easyremote import ComputeNode

node = ComputeNode(node_id="digits-node")


@node.register
def ink(images):
    """How much of each image is ink, between 0 and 1."""
    return images.mean(axis=(1, 2)) / 16


if __name__ == "__main__":
    node.serve()
