"""`python -m hf_tagging`: the command `hf-tagging` where the program is not on the path."""

from hf_tagging.cli import main

if __name__ == "__main__":
    main()
