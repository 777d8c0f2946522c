"""The command line: one module a command. Nothing heavy is imported until it is needed."""
