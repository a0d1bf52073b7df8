"""One sentence to images with finished networks."""
