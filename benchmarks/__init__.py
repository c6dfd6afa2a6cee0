"""Where the README's figures come from. ``make benchmark`` runs all; each compares side by side in one run."""
