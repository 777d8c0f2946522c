"""A small engine that speaks as much of the Docker Engine API (1.47) as the demo needs.

Nothing is started, pulled or built: its state is in memory, one engine a node. Its version, its
images and the first line of every log say that it is simulated.
"""
