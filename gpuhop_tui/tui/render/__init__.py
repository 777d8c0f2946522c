"""Pure renderers: plain data in, lines of toned text out. Tested without a screen."""
