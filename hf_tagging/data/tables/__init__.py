"""Tables: CSV and TSV files, and rows with a word each, or a sentence written into one cell."""
