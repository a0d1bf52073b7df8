"""Reference implementations: every step as the paper and the released code have it, in fp32 and contiguous memory.

The library is timed against them; they were written for this purpose: condition tiled to a map, upsampling before the
convolution, each discriminator three times, ten Inception passes a step, gradients of D and RS computed in G's step and
not used, packed sequences, batches padded to the longest, one utterance at a time, loops in Python. Networks have the
library's parameters by the library's names, so that one state dict fits both.

B batch, s pixels of a side, T frames, D embedding size.
"""
