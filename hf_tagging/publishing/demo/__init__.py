"""The demo in the browser, and the same as a Space on the Hub."""
