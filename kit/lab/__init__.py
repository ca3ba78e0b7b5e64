"""A browser's journey through a shop, judged hop by hop."""
