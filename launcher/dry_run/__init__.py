"""`--dry-run`: what is looked at before anything starts, and how it is told to people and to programs."""
