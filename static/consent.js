// What a visitor answered, carried over to where DataFast's script looks for it; and a yes without
// loading the page again, since that would lose the referrer. Without scripts the form does it all.
(function () {
  const own = document.currentScript
  const section = document.querySelector("#consent")
  const form = document.querySelector("#consent-form")
  let failed = false

  function settle(state) {
    try {
      if (state === "refused") {
        for (const storage of [sessionStorage, localStorage]) {
          Object.keys(storage)
            .filter((key) => key.startsWith("datafast_"))
            .forEach((key) => storage.removeItem(key))
        }
        localStorage.setItem("datafast_ignore", "true")
        localStorage.setItem("kit_refused", "true")
      } else if (state === "given" && localStorage.getItem("kit_refused")) {
        // Only what a refusal here had set: who set datafast_ignore by hand meant it.
        localStorage.removeItem("datafast_ignore")
        localStorage.removeItem("kit_refused")
      }
    } catch {
      // Storage is closed, to DataFast's script as well.
    }
  }

  function count(tag) {
    const script = document.createElement("script")
    script.nonce = own.nonce
    Object.entries(tag).forEach(([name, value]) => script.setAttribute(name, value))
    document.head.append(script)
  }

  settle(own.dataset.consent)
  if (!form) return
  form.addEventListener("submit", async (event) => {
    if (failed || !event.submitter || event.submitter.value !== "given") return
    event.preventDefault()
    const body = new URLSearchParams({ choice: "given" })
    try {
      const reply = await fetch(form.action, { method: "POST", headers: { accept: "application/json" }, body })
      if (!reply.ok) throw new Error(reply.status)
      const { tag } = await reply.json()
      settle("given")
      document.querySelector("#consent-status").textContent = "Thank you. You can change this at the foot of every page."
      section.querySelectorAll("h2, form, p:not([role])").forEach((part) => part.remove())
      section.removeAttribute("aria-labelledby")
      document.querySelector("#main").focus()
      if (tag) count(tag)
    } catch {
      failed = true
      // Not at once: while a form fires its submit event, it takes no other one.
      setTimeout(() => form.requestSubmit(event.submitter))
    }
  })
})()
