"""The way to a node: agent, host keys, logins, and links that come back by themselves."""
