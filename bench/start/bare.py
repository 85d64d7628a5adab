"""Nothing: what an interpreter costs by itself."""
