// A pending receipt asks for itself again and takes over what has changed, so that nobody's place
// on the page is lost to a reload. Without scripts, a <meta http-equiv="refresh"> does the asking.
(function look() {
  const receipt = document.querySelector("[data-refresh]")
  if (!receipt) return
  setTimeout(async () => {
    try {
      if (!document.hidden) {
        const reply = await fetch(location.href, { cache: "no-store" })
        if (!reply.ok) throw new Error(reply.status)
        const page = new DOMParser().parseFromString(await reply.text(), "text/html")
        const next = page.querySelector(".receipt")
        const fresh = next ? next.querySelectorAll("[data-live]") : []
        const shown = receipt.querySelectorAll("[data-live]")
        if (fresh.length !== shown.length) throw new Error("not a receipt")
        shown.forEach((part, i) => {
          if (part.innerHTML !== fresh[i].innerHTML) part.replaceChildren(...fresh[i].childNodes)
        })
        document.title = page.title
        if (!next.dataset.refresh) return
      }
    } catch {
      // Offline or restarting: the next look will tell.
    }
    look()
  }, 1000 * receipt.dataset.refresh)
})()
