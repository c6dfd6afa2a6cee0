"""What must hold when the blocks of a page have been run: ``holds(page)`` gets all names that they left."""
