"""Where containers of a node find the agent that is lent to it: a directory that is mounted.

sshd's own socket of a lent agent is new at each connection, and a symbolic link to it leads nowhere
inside a container. So the connection that lends has sshd listen in this directory, too, and a link
beside that socket, seen through the mount, is turned to the newest one.
"""

# $M. Its parent is this user's alone (0700), so that nobody else on the node reaches it by its
# path; what is in it is for every user of the containers that it is mounted into. A home may be
# shared by many nodes, and outlives a reboot of them, as a container's mounts do.
DIRECTORY = "M=$HOME/.cache/gpuhop-tui/$(uname -n)/containers;"
SHOWN = "~/.cache/gpuhop-tui/NODE/containers"


def directory(home: str, hostname: str) -> str:
    """The same for a home and `uname -n` that are known."""
    return f"{home}/.cache/gpuhop-tui/{hostname}/containers"


MAKE_DIRECTORY = (
    f'{DIRECTORY} (umask 077; mkdir -p "${{M%/*}}") && chmod 700 "${{M%/*}}" &&'
    ' mkdir -p "$M" && chmod 755 "$M" && [ -O "$M" ] && echo "$M"'
)
