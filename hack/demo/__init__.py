"""What `make run` shows: cluster, operator, agents, tasks, results."""
