"""JavaScript for the transformation editor of Dodo's dashboard, for shops without a server."""
