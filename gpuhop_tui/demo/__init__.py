"""An embedded fleet to look around in: real SSH servers on loopback, and nodes that are simulated:
their GPUs, their engines and containers, their tmux sessions and shells.

It needs nothing of the user's and leaves nothing behind: keys, agent and known_hosts live in one
temporary directory, and its servers in a child process that ends, and cleans up, as soon as its
standard input closes. What comes to a node over SSH is recognised and answered there (`login`); but
for the probe nothing is run.
"""
