"""Local Kubernetes clusters for development and tests, from packages alone.

The standard library is all it needs: it runs before any virtual environment exists.
"""
