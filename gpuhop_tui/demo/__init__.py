"""An embedded fleet to look around in: real SSH servers on loopback, simulated GPUs.

It needs nothing of the user's and leaves nothing behind: keys, agent, known_hosts and the homes of
its nodes live in one temporary directory, and its servers in a child process that ends, and cleans
up, as soon as its standard input closes.
"""
