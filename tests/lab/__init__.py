"""The lab: a laptop, bastions and nodes as network namespaces, with real sshd and ssh-agent.

Start at `tests.lab.world.World`; `python -m tests.lab` builds one to try things by hand.
"""
