"""`python -m pinncli` is the same program as `pinncli`."""

from pinncli.cli.main import main

if __name__ == "__main__":
    main()
