"""What listens on a node, found by itself, and the local ports that lead there."""
