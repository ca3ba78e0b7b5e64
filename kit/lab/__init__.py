"""
The browser laboratory: play a journey through a shop, and say at which hop the visitor was lost.

`visit.Visit` takes the steps, `watch.Watch` notes what the browser does meanwhile, `observers` ask
the stand-ins what arrived, and `findings` turns what was seen into hops and an outcome.
Playwright's sync API throughout; `aside.BrowserThread` keeps it away from a caller's event loops.
"""
