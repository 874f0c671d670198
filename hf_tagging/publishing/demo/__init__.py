"""Browser demo of taggers, locally or as a Space on the Hub."""
