"""Real Docker engines on the lab's nodes: dockerd, an image made of this machine's own files, a
registry, and the hook by which `--gpus` is granted."""
