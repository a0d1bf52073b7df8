"""The synthetic sets `mini-flowers` and `mini-birds`: images drawn and captions written by rule."""
