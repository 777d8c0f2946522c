"""The config file, and the plan that it resolves to."""
