"""The product on a real HTCondor pool, on this machine and over SSH: rows in a database, and what a worker does."""
