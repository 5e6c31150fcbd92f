"""The namespace's ResourceQuotas as the resource pool: who may have how many agents."""
