"""What a lent agent may be used for: between the remote hosts and the user's own agent."""
