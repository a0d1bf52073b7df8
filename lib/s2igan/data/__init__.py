"""Data sets: synthetic, public and your own; the store built from them; batches; download; text-to-speech."""
