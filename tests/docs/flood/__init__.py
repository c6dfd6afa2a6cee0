"""The app that the pages speak of. It is copied into the project that a page is run in."""
