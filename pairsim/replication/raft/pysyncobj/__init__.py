"""All that knows pysyncobj."""
