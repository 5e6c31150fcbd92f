"""The custom resources and the wire types of the agent protocol, as pydantic models."""
