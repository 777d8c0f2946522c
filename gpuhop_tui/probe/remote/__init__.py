"""What runs on the node: standard library and pynvml only, Python 3.6 or newer.

It is sent over the connection as the package `gpuhop_probe`, beside `pynvml.py`. The other end,
and the wire format, is `gpuhop_tui.probe.protocol`.
"""
