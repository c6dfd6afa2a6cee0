"""What HTCondor takes, and what would say something else than it seems to. Pure: asked by models and backend."""
