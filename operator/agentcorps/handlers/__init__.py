"""kopf handlers of the low-rate kinds; with ``wiring`` and ``main`` the only importers of kopf."""
