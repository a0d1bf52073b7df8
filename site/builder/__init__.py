"""What `build.py` is made of: notebooks as pages, alternative texts, pages from texts, the library's pages, checks."""
