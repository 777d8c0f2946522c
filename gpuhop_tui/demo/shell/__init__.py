"""A shell that only pretends: a prompt, a line editor, and a few commands answered from the demo's
own state. Nothing that is typed reaches the machine that the demo runs on."""
