"""Cases as other systems take them: CSV, JSON lines, Parquet, statements of reasons."""
