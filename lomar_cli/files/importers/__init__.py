"""Client files and models of other systems, one file a format; ``registry`` tells them apart."""
