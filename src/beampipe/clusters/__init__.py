"""Who does the work: site profiles, providers, the reconciler."""
