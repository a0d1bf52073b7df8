"""Training of SEN, RDG and the feature networks: one loop, resumable, in one process or several."""
