"""Behind the form for a container: what is typed, which GPUs that comes to, and the work it begins.
No screen is in here."""
