"""`python -m hf_tagging.cli`, where the program is not on the path."""

from hf_tagging.cli import main

main()
