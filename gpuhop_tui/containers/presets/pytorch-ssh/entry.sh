#!/bin/sh
# Starts the SSH server, then the command; without a command the server is all that runs.
set -e
umask 077

# A host key of this very container: an image made of it (docker commit) brings another one's.
id=$(grep -o '[0-9a-f]\{64\}/hostname' /proc/self/mountinfo | head -n 1)
if [ ! -s /etc/gpuhop/host_key ] || [ "$(cat /etc/gpuhop/host_key.of 2>/dev/null)" != "$id" ]; then
    rm -f /etc/gpuhop/host_key /etc/gpuhop/host_key.pub
    ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/gpuhop/host_key
    printf '%s\n' "$id" >/etc/gpuhop/host_key.of
fi

# The image's and the user's environment, for logins too: sshd gives them a bare one. It reaches sshd
# by a pipe and is never written down, for it may hold secrets.
names=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p')
line=
for name in $names; do
    case $name in HOME|PWD|OLDPWD|SHLVL|TERM|HOSTNAME|USER|LOGNAME|SHELL|_) continue ;; esac
    eval "value=\$$name"
    case $value in *'"'*|*'\'*|*'
'*) continue ;; esac
    line="$line \"$name=$value\""
done
settings=$(cat /etc/gpuhop/sshd_config; [ -z "$line" ] || printf 'SetEnv%s\n' "$line")

mkdir -p /run/sshd
chmod 755 /run/sshd
sshd=$(command -v sshd || echo /usr/sbin/sshd)
umask 022
if [ $# -eq 0 ]; then
    exec "$sshd" -D -e -f /dev/stdin <<CONFIG
$settings
CONFIG
fi
"$sshd" -f /dev/stdin <<CONFIG
$settings
CONFIG
exec "$@"
