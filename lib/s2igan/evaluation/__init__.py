"""Feature networks, retrieval, generated images, and reference values (chance, real against real)."""
