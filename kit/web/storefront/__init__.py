"""The reference storefront: catalogue, checkout and receipt."""
