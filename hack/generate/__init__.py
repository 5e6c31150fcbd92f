"""Writes what is generated: CRDs from the models, their copy in the chart, the input policy."""
