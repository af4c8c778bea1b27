"""The one room that knows pysyncobj."""
