"""The processes of a pair: a simulator and a witness, with their threads and folders."""
