"""Finished runs collected: tables, claims, plots, diagrams, cost."""
