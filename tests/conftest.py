"""What all tests share."""

from hypothesis import settings

pytest_plugins = ["tests.lab.fixtures", "tests.lab.docker.fixtures"]

# How long an example takes says nothing on a machine that does other things beside.
settings.register_profile("gpuhop", deadline=None)
settings.load_profile("gpuhop")
