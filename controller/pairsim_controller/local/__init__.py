"""The local adapter: processes of this machine in place of pods."""
