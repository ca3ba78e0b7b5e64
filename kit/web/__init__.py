"""The HTTP side: receiver, first-party proxy, storefront and inspector, composed in `app`."""
