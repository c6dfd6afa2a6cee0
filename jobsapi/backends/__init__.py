"""One module per kind of scheduler, loaded by dotted path, so that the app needs none of them."""
