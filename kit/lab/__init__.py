"""
The browser laboratory: play a journey through a shop, and say at which hop the visitor was lost.

    with BrowserThread(find_engines(["chromium"])[0]) as aside:
        report = aside.do(lambda browser: play(FIRST_VISIT, Stage(
            Shop("http://shop.localhost:8000/", product_url=…, buy="#buy"),
            Contexts(browser).open,
            dodo=DodoSandbox(page_url, api_url),
            datafast=DataFastSandbox(api_url),
        )))

`stage` says what a journey is given, `scenarios` what happens on it, `visit` takes the steps and
`watch` notes what the browser does meanwhile; `observers` know what arrived elsewhere. `gather`
puts it together as `seen`, plain data, from which `findings` tells hops and an outcome for the
`report`. Playwright's sync API throughout; `aside` keeps it away from a caller's event loops.
"""
