// Keeps a page of the inspector up to date: the server says when it has changed, and the page takes
// over what is new, so that what is open stays open and nobody's place is lost. And copies code.
(function () {
  const page = document.querySelector("[data-version]")
  if (!page || !page.dataset.version) return
  const here = location.href.split("#")[0]
  const sign = document.querySelector("#live")
  let stream = null

  function say(words) {
    if (sign && sign.textContent !== words) sign.textContent = words
  }

  function take(part, fresh) {
    const was = new Map([...part.querySelectorAll("details[id]")].map((each) => [each.id, each.open]))
    const focused = part.contains(document.activeElement) && document.activeElement.closest("[id]")
    part.replaceChildren(...fresh.childNodes)
    for (const each of part.querySelectorAll("details[id]")) {
      if (was.has(each.id)) each.open = was.get(each.id)
      else if (was.size) each.open = false
    }
    const again = focused && document.getElementById(focused.id)
    if (again) (again.matches("details") ? again.querySelector("summary") : again).focus({ preventScroll: true })
    mark(part)
  }

  async function refresh(version) {
    if (version === page.dataset.version) return
    const reply = await fetch(here, { cache: "no-store", headers: { accept: "text/html" } })
    if (!reply.ok) return
    const next = new DOMParser().parseFromString(await reply.text(), "text/html")
    const there = next.querySelector("[data-version]")
    if (!there || !there.dataset.version) return
    for (const part of page.querySelectorAll("[data-live]")) {
      const fresh = next.getElementById(part.id)
      if (fresh && fresh.innerHTML !== part.dataset.shown) {
        part.dataset.shown = fresh.innerHTML
        take(part, fresh)
      }
    }
    page.dataset.version = there.dataset.version
    document.title = next.title
  }

  function watch() {
    if (document.hidden || stream) return
    stream = new EventSource(here)
    stream.addEventListener("open", () => say("live"))
    stream.addEventListener("page", (event) => refresh(event.lastEventId).catch(() => {}))
    stream.addEventListener("error", () => say("not live"))
  }

  // A page that nobody sees needs no connection: a browser has few of them for each site.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && stream) {
      stream.close()
      stream = null
    }
    watch()
  })

  function mark(part) {
    for (const box of part.querySelectorAll(".code")) {
      const button = document.createElement("button")
      button.className = "copy"
      button.textContent = "Copy"
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(box.querySelector("pre").textContent)
        button.textContent = "Copied"
      })
      box.append(button)
    }
  }

  for (const part of page.querySelectorAll("[data-live]")) part.dataset.shown = part.innerHTML
  mark(page)
  watch()
})()
