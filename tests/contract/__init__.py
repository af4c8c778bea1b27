"""The guard of the public contract: it pins what users, programs and files rely on."""
