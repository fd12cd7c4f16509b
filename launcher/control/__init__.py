"""Looking at a launcher that runs, and changing what it does: the control socket, what it answers, and who asks."""
