"""The command line: typer and rich, talking to the API server only."""
